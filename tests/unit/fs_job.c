/* Jobs in the table, on disk, and as a job may see them on its own /float. */
#include "fs/job.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/notify.h"
#include "fs/settings.h"
#include "fs/tree.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"

static char directory[64];
static struct floatfs fs;
static const struct caller caller = { .uid = 0 };

static void open_table(void)
{
	struct error err = { 0 };
	fs = (struct floatfs){ .options.state = directory };
	pthread_mutex_init(&fs.lock, NULL);
	pthread_mutex_init(&fs.serial_lock, NULL);
	pthread_cond_init(&fs.wakeup, NULL);
	fs.notify = notify_new(&fs);
	fs.files = files_new(&fs);
	cr_assert_eq(job_load_all(&fs, &err), 0, "%s", err.text);
}

static void close_table(void)
{
	job_free_all(&fs);
	notify_free(fs.notify);
	files_free(fs.files);
}

static void set_up(void)
{
	strcpy(directory, "/tmp/floatfs-unit.XXXXXX");
	cr_assert(mkdtemp(directory));
	open_table();
}

static void tear_down(void)
{
	close_table();
	file_remove_tree(directory);
}

TestSuite(job, .init = set_up, .fini = tear_down);

static void make(const char *id)
{
	struct error err = { 0 };
	cr_assert_eq(job_create_draft(&fs, id, &caller, &err), 0, "%s", err.text);
}

Test(job, is_found_by_its_id)
{
	make("b");
	make("a");
	autojob struct job *a = job_find(&fs, "a"), *none = job_find(&fs, "ab");
	cr_assert_not_null(a);
	cr_expect_str_eq(a->record.id, "a");
	cr_expect_null(none);
	autojob struct job *same = job_find_serial(&fs, a->serial);
	cr_expect_eq(same, a);
	cr_expect_eq(job_create_draft(&fs, "a", &caller, NULL), -EEXIST);
	cr_expect_eq(job_forget(&fs, "a", NULL), 0);
	cr_expect_eq(job_forget(&fs, "a", NULL), -ENOENT);
	make("a");
	autojob struct job *again = job_find(&fs, "a");
	cr_expect_gt(again->serial, a->serial, "serials are never given twice");
	autojob struct job *b = job_find(&fs, "b");
	cr_expect_not_null(b);
}

Test(job, has_settings_that_can_be_written_at_times)
{
	static const struct {
		const char *status;
		enum tree_kind setting;
		bool writable;
	} cases[] = {
		{ "Draft", TREE_INSTANCE, true },      { "Draft", TREE_SCRIPT, true },
		{ "Executing", TREE_INSTANCE, false }, { "Suspending", TREE_INSTANCE, false },
		{ "Suspended", TREE_INSTANCE, true },  { "Suspended", TREE_SCRIPT, false },
		{ "Resuming", TREE_INSTANCE, false },  { "Completed", TREE_INSTANCE, false },
	};
	for (size_t i = 0; i < array_length(cases); i++) {
		struct record record = { 0 };
		record_set(record.status, cases[i].status);
		cr_expect_eq(settings_may_be_written(tree_entry(cases[i].setting), &record),
			     cases[i].writable, "%s while %s", tree_entry(cases[i].setting)->name,
			     cases[i].status);
	}
	make("a");
	autojob struct job *job = job_find(&fs, "a");
	autofree char *value = NULL;
	cr_assert_eq(settings_write_value(job, "instance", "c5.2xlarge", NULL), 0);
	cr_assert_eq(settings_read_value(job, "instance", &value, NULL), 0);
	cr_expect_str_eq(value, "c5.2xlarge");
}

Test(job, that_was_forgotten_is_not_written_again)
{
	make("a");
	autojob struct job *job = job_find(&fs, "a");
	cr_assert_eq(job_forget(&fs, "a", NULL), 0);
	cr_expect_eq(job_save(job, NULL), 0);
	cr_expect_lt(access(job->directory, F_OK), 0);
}

Test(job, comes_back_unless_its_rmdir_had_begun)
{
	make("stays");
	make("goes");
	autofree char *path = NULL, *cut_off = NULL;
	{
		autojob struct job *job = job_find(&fs, "goes");
		path = format_string("%s", job->directory);
		cut_off = format_string("%s.forgotten", job->directory);
	}
	close_table();
	cr_assert_eq(rename(path, cut_off), 0);
	open_table();
	autojob struct job *stays = job_find(&fs, "stays"), *goes = job_find(&fs, "goes");
	cr_expect_not_null(stays);
	cr_expect_null(goes);
	cr_expect_lt(access(cut_off, F_OK), 0, "what was left is removed");
}

static int ask(struct job *job, const char *op, const char *name, json_object **answer)
{
	autojson json_object *question = json_object_new_object();
	json_set_string(question, "op", op);
	json_set_string(question, "name", name);
	json_set_string(question, "data", "cancel\n");
	json_set_int(question, "uid", 0);
	*answer = json_object_new_object();
	tree_answer_job(job, question, *answer);
	return (int)json_get_int(*answer, "errno", -1);
}

Test(job, sees_itself_and_no_other_job)
{
	make("one");
	make("other");
	autojob struct job *job = job_find(&fs, "one");
	static const struct {
		const char *op, *name;
		int code;
	} asks[] = {
		{ "read", "status", 0 },
		{ "read", "/jobs/one/status", 0 },
		{ "read", "/jobs/other/status", EACCES },
		{ "read", "/jobs/other/job.events", EACCES },
		{ "write", "/jobs/other/ctl", EACCES },
		{ "write", "ctl", EOPNOTSUPP }, /* nothing to cancel */
		{ "read", "script", EACCES },
		{ "read", "/error", EACCES },
		{ "read", "/jobs", EACCES },
		{ "read", "no-such", ENOENT },
	};
	for (size_t i = 0; i < array_length(asks); i++) {
		autojson json_object *answer = NULL;
		cr_expect_eq(ask(job, asks[i].op, asks[i].name, &answer), asks[i].code, "%s %s: %s",
			     asks[i].op, asks[i].name, json_object_to_json_string(answer));
	}
}

Test(job, settings_are_text)
{
	make("a");
	autojob struct job *job = job_find(&fs, "a");
	autofree char *path = settings_path(job, "name"), *name = NULL;
	struct error err = { 0 };
	cr_assert_eq(file_write(path, " a caf\xc3\xa9 \n"), 0);
	cr_assert_eq(settings_read_value(job, "name", &name, &err), 0, "%s", err.text);
	cr_expect_str_eq(name, "a caf\xc3\xa9");
	cr_assert_eq(file_write(path, "caf\xe9 \n\n\n\n\n"), 0);
	cr_expect_eq(settings_read_value(job, "name", &name, &err), -EINVAL);
	cr_expect(strstr(err.text, "UTF-8"), "%s", err.text);
}
