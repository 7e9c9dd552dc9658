/* What users may have, and what is theirs: quotas, secrets, times of options. */
#include "fs/users.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs/files.h"
#include "fs/job.h"
#include "fs/notify.h"
#include "fs/op_host.h"
#include "fs/options.h"
#include "fs/secrets.h"
#include "lib/cleanup.h"
#include "lib/file.h"

static char directory[64];
static struct floatfs fs;
static const struct caller alice = { .uid = 1001, .gid = 1001 }, root = { .uid = 0 };

static void open_state(void)
{
	struct error err = { 0 };
	fs = (struct floatfs){ .options = { .state = directory, .quota_jobs = 2, .quota_size = 40 } };
	pthread_mutex_init(&fs.lock, NULL);
	pthread_mutex_init(&fs.serial_lock, NULL);
	pthread_cond_init(&fs.wakeup, NULL);
	fs.notify = notify_new(&fs);
	fs.files = files_new(&fs);
	cr_assert_eq(secrets_open(&fs, &err), 0, "%s", err.text);
	cr_assert_eq(job_load_all(&fs, &err), 0, "%s", err.text);
}

static void close_state(void)
{
	job_free_all(&fs);
	secrets_close(fs.secrets);
	users_free_all(&fs);
	notify_free(fs.notify);
	files_free(fs.files);
}

static void set_up(void)
{
	strcpy(directory, "/tmp/floatfs-unit.XXXXXX");
	cr_assert(mkdtemp(directory));
	open_state();
}

static void tear_down(void)
{
	close_state();
	file_remove_tree(directory);
}

TestSuite(users, .init = set_up, .fini = tear_down);

static int make(const char *id, const struct caller *caller)
{
	struct error err = { 0 };
	return job_create_draft(&fs, id, caller, &err);
}

Test(users, have_so_many_jobs)
{
	struct error err = { 0 };
	cr_expect_eq(make("one", &alice), 0);
	cr_expect_eq(make("two", &alice), 0);
	cr_expect_eq(make("three", &alice), -EDQUOT);
	cr_expect_eq(make("root-1", &root), 0);
	cr_expect_eq(make("root-2", &root), 0);
	cr_expect_eq(make("root-3", &root), 0);
	cr_expect_eq(job_forget(&fs, "one", &err), 0, "%s", err.text);
	cr_expect_eq(make("three", &alice), 0);
	close_state();
	open_state();
	cr_expect_eq(make("four", &alice), -EDQUOT, "they are counted again after a restart");
}

/* A job with a volume of that size, as its accepted start makes it. */
static struct job *start(const char *id, int64_t gb)
{
	cr_assert_eq(make(id, &alice), 0);
	struct job *job = job_find(&fs, id);
	job_lock(job);
	record_set(job->record.container, "0123456789ab");
	record_set(job->record.work_volume, "vol-1");
	job->record.volume_count = 1;
	job->record.volumes[0].size_gb = gb;
	job_set_status_locked(job, "Executing");
	job_unlock(job);
	return job;
}

static int check(int64_t gb)
{
	struct error err = { 0 };
	struct record record = { .uid = 1001, .volume_count = 1, .volumes[0].size_gb = gb };
	pthread_mutex_lock(&fs.lock);
	int status = users_check_volumes_locked(&fs, &record, &err);
	pthread_mutex_unlock(&fs.lock);
	return status;
}

Test(users, have_so_much_in_volumes)
{
	cr_expect_eq(check(40 - OP_WORK_GIB), 0);
	cr_expect_eq(check(41 - OP_WORK_GIB), -EDQUOT);
	autojob struct job *job = start("one", 4);
	cr_expect_eq(check(40 - 2 * OP_WORK_GIB - 4), 0);
	cr_expect_eq(check(41 - 2 * OP_WORK_GIB - 4), -EDQUOT);
	job_lock(job);
	job_set_status_locked(job, "Completed");
	job_unlock(job);
	cr_expect_eq(check(40 - OP_WORK_GIB), -EDQUOT, "an ended job has its volumes until it is forgotten");
	job_lock(job);
	job->record.work_volume[0] = '\0';
	job_set_status_locked(job, "FailToExecute");
	job_unlock(job);
	cr_expect_eq(check(40 - OP_WORK_GIB), 0);
}

Test(users, secrets_are_put_in_their_places)
{
	struct error err = { 0 };
	struct secret secret;
	autofree char *text = NULL;
	cr_assert_eq(secrets_create(&fs, "key", &alice, &err), 0, "%s", err.text);
	cr_expect_eq(secrets_create(&fs, "key", &root, &err), -EEXIST);
	cr_expect_eq(secrets_create(&fs, "../key", &alice, &err), -EINVAL);
	cr_assert_eq(secrets_find(&fs, "key", &secret), 0);
	autoclose int fd = secrets_open_value(&fs, secret.serial, O_TRUNC);
	cr_assert_eq(file_write_all(fd, "{secret:key}\n", 13), 0);
	cr_assert_eq(secrets_expand(&fs, "A={secret:key}{secret:key}{secret:", 1001, &text, &err), 0);
	cr_expect_str_eq(text, "A={secret:key}{secret:key}{secret:");
	cr_expect_eq(secrets_expand(&fs, "A={secret:key}", 1002, NULL, &err), -EINVAL);
	cr_expect_eq(secrets_expand(&fs, "A={secret:}", 1001, NULL, &err), -EINVAL);
	secrets_close(fs.secrets);
	cr_assert_eq(secrets_open(&fs, &err), 0, "%s", err.text);
	cr_expect_eq(secrets_find(&fs, "key", &secret), 0);
	cr_expect_eq(secret.uid, 1001);
	cr_expect_eq(secrets_remove(&fs, "key", &err), 0);
	cr_expect_eq(secrets_find(&fs, "key", &secret), -ENOENT);
}

Test(options, times)
{
	static const struct {
		const char *text;
		int64_t seconds; /* 0: refused */
	} cases[] = { { "45s", 45 }, { "90m", 5400 }, { "12h", 43200 }, { "30d", 2592000 },
		      { "", 0 },     { "d", 0 },      { "30", 0 },      { "0s", 0 },
		      { "-1d", 0 },  { "1dd", 0 },    { " 1d", 0 },     { "9999999999d", 0 } };
	for (size_t i = 0; i < array_length(cases); i++) {
		int64_t seconds = 0;
		int status = options_parse_duration(cases[i].text, &seconds);
		cr_expect_eq(status, cases[i].seconds ? 0 : -EINVAL, "%s", cases[i].text);
		cr_expect_eq(seconds, cases[i].seconds, "%s", cases[i].text);
	}
}
