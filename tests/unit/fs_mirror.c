#include "fs/mirror.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"

static char directory[64];
static struct mirror *mirror;

static void open_mirror(void)
{
	struct error err = { 0 };
	snprintf(directory, sizeof(directory), "/tmp/float-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	cr_assert_eq(mirror_open(directory, &mirror, &err), 0, "%s", err.text);
}

static void close_mirror(void)
{
	mirror_close(mirror);
	file_remove_tree(directory);
}

TestSuite(mirror, .init = open_mirror, .fini = close_mirror);

static int set_names(const char *text)
{
	autojson json_object *object = NULL;
	struct error err = { 0 };
	cr_assert_eq(json_parse_object(text, strlen(text), &object, &err), 0, "%s", err.text);
	return mirror_set_names(mirror, json_get_array(object, "names"), &err);
}

#define TWO_NAMES                                                                                            \
	"{\"names\": [{\"path\": \"output\", \"generation\": 257, \"type\": \"file\", \"mode\": 420},"       \
	"{\"path\": \"stdout.autosave\", \"generation\": 257, \"type\": \"file\", \"mode\": 420},"           \
	"{\"path\": \"sub\", \"generation\": 258, \"type\": \"directory\", \"mode\": 493},"                  \
	"{\"path\": \"sub/x\", \"generation\": 259, \"type\": \"file\", \"mode\": 420}]}"

Test(mirror, two_names_of_one_file_have_one_content)
{
	struct mirror_entry entry;
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 257, 0, "hello", 5, NULL), 0);
	cr_assert_eq(mirror_find(mirror, "stdout.autosave", &entry), 0);
	cr_expect_eq(entry.size, 5);
	cr_expect_eq(entry.generation, 257);
	cr_assert_eq(mirror_find(mirror, "output", &entry), 0);
	cr_expect_eq(entry.size, 5);
	cr_expect_eq(mirror_find(mirror, "x", &entry), -ENOENT);
	cr_expect_eq(mirror_find(mirror, "sub/x", &entry), 0);
}

Test(mirror, data_out_of_order_is_refused)
{
	struct error err = { 0 };
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 257, 0, "hello", 5, NULL), 0);
	cr_expect_eq(mirror_append(mirror, 257, 6, "x", 1, &err), -EBADMSG, "a hole");
	cr_expect_eq(mirror_append(mirror, 257, 4, "x", 1, &err), -EBADMSG, "the same twice");
	cr_expect_eq(mirror_append(mirror, 257, 5, "x", 1, &err), 0);
	cr_assert_eq(mirror_truncate(mirror, 257, 2, &err), 0);
	cr_expect_eq(mirror_append(mirror, 257, 2, "x", 1, &err), 0);
}

Test(mirror, what_is_written_over_stays_as_long)
{
	struct error err = { 0 };
	char bytes[8];
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 257, 0, "hello", 5, NULL), 0);
	cr_expect_eq(mirror_write_over(mirror, 257, 4, "p!", 2, &err), -EBADMSG, "beyond the end");
	cr_expect_eq(mirror_write_over(mirror, 257, 6, "", 0, &err), -EBADMSG, "behind the end");
	cr_expect_eq(mirror_write_over(mirror, 257, 3, "p!", 2, &err), 0, "%s", err.text);
	int fd = mirror_open_content(mirror, 257);
	cr_assert_geq(fd, 0);
	cr_expect_eq(read(fd, bytes, sizeof(bytes)), 5);
	cr_expect_eq(memcmp(bytes, "help!", 5), 0);
	close(fd);
}

/* A name may be left out, too long say, while its data comes: that must not end the stream of all others. */
Test(mirror, data_without_a_name_is_not_kept)
{
	struct error err = { 0 };
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_expect_eq(mirror_append(mirror, 300, 0, "hello", 5, &err), 0, "%s", err.text);
	cr_expect_eq(mirror_append(mirror, 300, 0, "hello", 5, &err), 0, "as after a new connection: %s",
		     err.text);
	cr_expect_eq(mirror_truncate(mirror, 300, 0, &err), 0, "%s", err.text);
	cr_expect_eq(mirror_append(mirror, 258, 0, "hello", 5, &err), 0, "a directory");
	cr_expect_eq(mirror_open_content(mirror, 300), -ENOENT);
	cr_expect_eq(mirror_open_content(mirror, 258), -ENOENT);
	cr_expect_eq(mirror_append(mirror, 257, 0, "hello", 5, &err), 0, "%s", err.text);
}

static void set_coming(const char *text)
{
	struct error err = { 0 };
	autojson json_object *array = json_tokener_parse(text);
	cr_assert_eq(mirror_set_coming(mirror, array, &err), 0, "%s", err.text);
}

Test(mirror, data_comes_before_the_name)
{
	struct mirror_entry entry;
	cr_assert_eq(set_names(TWO_NAMES), 0);
	set_coming("[301, 300, 257, 0, -1, 4294967296, \"x\"]");
	cr_assert_eq(mirror_append(mirror, 300, 0, "hello", 5, NULL), 0);
	cr_assert_eq(mirror_append(mirror, 301, 0, "gone", 4, NULL), 0);
	set_coming("[302]");
	cr_expect_eq(mirror_append(mirror, 300, 5, "!", 1, NULL), 0);
	cr_expect_eq(mirror_find_generation(mirror, 300, &entry), -ENOENT, "nobody sees it yet");
	autojson json_object *have = mirror_have(mirror);
	cr_expect_str_eq(json_object_to_json_string_ext(have, JSON_C_TO_STRING_PLAIN),
			 "[[257,0],[257,0],[259,0],[300,6],[301,4],[302,0]]");
	cr_assert_eq(set_names("{\"names\": [{\"path\": \"x\", \"generation\": 300, \"type\": \"file\"}]}"),
		     0);
	cr_assert_eq(mirror_find(mirror, "x", &entry), 0);
	cr_expect_eq(entry.size, 6);
	cr_expect_eq(mirror_open_content(mirror, 301), -ENOENT);
}

/* It is told from its beginning again: what an earlier floatfs had of it is in the way. */
Test(mirror, what_came_without_a_name_does_not_outlive_a_restart)
{
	set_coming("[300]");
	cr_assert_eq(mirror_append(mirror, 300, 0, "hello", 5, NULL), 0);
	mirror_close(mirror);
	cr_assert_eq(mirror_open(directory, &mirror, NULL), 0);
	set_coming("[300]");
	cr_expect_eq(mirror_append(mirror, 300, 0, "hello", 5, NULL), 0);
}

Test(mirror, what_has_no_name_any_more_is_deleted)
{
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 259, 0, "old", 3, NULL), 0);
	cr_assert_eq(set_names("{\"names\": [{\"path\": \"x\", \"generation\": 257, \"type\": \"file\"}]}"),
		     0);
	cr_expect_eq(mirror_open_content(mirror, 259), -ENOENT);
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_expect_eq(mirror_append(mirror, 259, 0, "new", 3, NULL), 0);
}

Test(mirror, who_has_a_file_open_keeps_it)
{
	struct mirror_entry entry;
	static const char *const none = "{\"names\": []}";
	cr_assert_eq(mirror_hold(mirror, 259), -ENOENT);
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 259, 0, "old", 3, NULL), 0);
	cr_assert_eq(mirror_hold(mirror, 259), 0);
	cr_assert_eq(mirror_hold(mirror, 259), 0);
	cr_assert_eq(set_names(none), 0);
	cr_expect_eq(mirror_find(mirror, "sub/x", &entry), -ENOENT);
	cr_assert_eq(mirror_find_generation(mirror, 259, &entry), 0);
	cr_expect_eq(entry.size, 3);
	mirror_let_go(mirror, 259);
	autoclose int fd = mirror_open_content(mirror, 259);
	cr_expect_geq(fd, 0);
	mirror_let_go(mirror, 259);
	cr_expect_eq(mirror_open_content(mirror, 259), -ENOENT);
	cr_expect_eq(mirror_find_generation(mirror, 259, &entry), -ENOENT);

	/* And when it comes again, it does so from its beginning. */
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 259, 0, "old", 3, NULL), 0);
	cr_assert_eq(mirror_hold(mirror, 259), 0);
	cr_assert_eq(set_names(none), 0);
	set_coming("[259]");
	cr_assert_eq(mirror_append(mirror, 259, 0, "longer", 6, NULL), 0);
	cr_assert_eq(set_names(TWO_NAMES), 0);
	mirror_let_go(mirror, 259);
	cr_assert_eq(mirror_find(mirror, "sub/x", &entry), 0);
	cr_expect_eq(entry.size, 6);
}

Test(mirror, a_cut_never_makes_it_longer)
{
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 257, 0, "hello", 5, NULL), 0);
	cr_expect_eq(mirror_truncate(mirror, 257, 6, NULL), -EBADMSG);
	cr_expect_eq(mirror_truncate(mirror, 257, -1, NULL), -EBADMSG);
	cr_expect_eq(mirror_truncate(mirror, 257, 0, NULL), 0);
}

Test(mirror, is_the_same_when_opened_again)
{
	struct mirror_entry entry;
	char text[8] = "";
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 259, 0, "kept", 4, NULL), 0);
	mirror_close(mirror);
	cr_assert_eq(mirror_open(directory, &mirror, NULL), 0);
	cr_assert_eq(mirror_find(mirror, "sub/x", &entry), 0);
	cr_expect_eq(entry.size, 4);
	autoclose int fd = mirror_open_content(mirror, 259);
	cr_assert_geq(fd, 0);
	cr_expect_eq(read(fd, text, sizeof(text)), 4);
	cr_expect_str_eq(text, "kept");
	mirror_settle(mirror, 259, 12345);
	autojson json_object *have = mirror_have(mirror);
	cr_expect_str_eq(json_object_to_json_string_ext(have, JSON_C_TO_STRING_PLAIN),
			 "[[257,0],[257,0],[259,4,12345]]");
}

static int count_name(void *context, const char *name, const struct mirror_entry *entry)
{
	(void)name;
	(void)entry;
	(*(int *)context)++;
	return 0;
}

Test(mirror, lists_a_directory_only)
{
	int top = 0, below = 0;
	cr_assert_eq(set_names(TWO_NAMES), 0);
	mirror_list(mirror, "", count_name, &top);
	mirror_list(mirror, "sub", count_name, &below);
	cr_expect_eq(top, 3);
	cr_expect_eq(below, 1);
}

Test(mirror, leaves_out_what_could_lead_a_reader_astray)
{
	static const char *const names[] = {
		"{\"names\": [{\"path\": \"../x\", \"generation\": 1, \"type\": \"file\"}]}",
		"{\"names\": [{\"path\": \"/x\", \"generation\": 1, \"type\": \"file\"}]}",
		"{\"names\": [{\"path\": \"a//x\", \"generation\": 1, \"type\": \"file\"}]}",
		"{\"names\": [{\"path\": \"a/..\", \"generation\": 1, \"type\": \"file\"}]}",
		"{\"names\": [{\"path\": \"x\", \"generation\": 0, \"type\": \"file\"}]}",
		"{\"names\": [{\"path\": \"x\", \"generation\": 1, \"type\": \"device\"}]}",
		"{\"names\": [{\"path\": \"x\", \"generation\": 1, \"type\": \"link\", \"target\": "
		"\"/etc/shadow\"}]}",
		"{\"names\": [{\"path\": \"x\", \"generation\": 1, \"type\": \"link\", \"target\": "
		"\"../../x\"}]}",
	};
	for (size_t i = 0; i < array_length(names); i++) {
		int count = 0;
		cr_assert_eq(set_names(names[i]), 0);
		mirror_list(mirror, "", count_name, &count);
		mirror_list(mirror, "a", count_name, &count);
		cr_expect_eq(count, 0, "%s", names[i]);
	}
}

/* Node ids are made of generations: one must not mean two things, and no directory be found within itself. */
Test(mirror, leaves_out_contradictions)
{
	static const struct {
		const char *names;
		int top, below;
	} cases[] = {
		{ "{\"names\": [{\"path\": \"a\", \"generation\": 1, \"type\": \"file\"},"
		  "{\"path\": \"a\", \"generation\": 2, \"type\": \"file\"}]}",
		  1, 0 },
		{ "{\"names\": [{\"path\": \"a\", \"generation\": 1, \"type\": \"directory\"},"
		  "{\"path\": \"b\", \"generation\": 1, \"type\": \"file\"}]}",
		  1, 0 },
		{ "{\"names\": [{\"path\": \"a\", \"generation\": 1, \"type\": \"directory\"},"
		  "{\"path\": \"a/b\", \"generation\": 1, \"type\": \"directory\"}]}",
		  1, 0 },
		{ "{\"names\": [{\"path\": \"a\", \"generation\": 1, \"type\": \"directory\"},"
		  "{\"path\": \"a/b\", \"generation\": 2, \"type\": \"link\", \"target\": \"x\"},"
		  "{\"path\": \"a/c\", \"generation\": 2, \"type\": \"link\", \"target\": \"x\"}]}",
		  1, 2 },
	};
	for (size_t i = 0; i < array_length(cases); i++) {
		int top = 0, below = 0;
		cr_assert_eq(set_names(cases[i].names), 0);
		mirror_list(mirror, "", count_name, &top);
		mirror_list(mirror, "a", count_name, &below);
		cr_expect_eq(top, cases[i].top, "%s", cases[i].names);
		cr_expect_eq(below, cases[i].below, "%s", cases[i].names);
	}
}

Test(mirror, a_generation_that_becomes_another_type_begins_anew)
{
	struct mirror_entry entry;
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 257, 0, "hello", 5, NULL), 0);
	cr_assert_eq(set_names("{\"names\": [{\"path\": \"d\", \"generation\": 257, \"type\": "
			       "\"directory\", \"mtime_ns\": -1}]}"),
		     0);
	cr_assert_eq(mirror_find(mirror, "d", &entry), 0);
	cr_expect_eq(entry.mtime_ns, 0);
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_find(mirror, "output", &entry), 0);
	cr_expect_eq(entry.size, 0);
}

struct cut {
	char text[400];
};

static void note_cut(void *context, const char *path, int64_t size, const char *kept)
{
	struct cut *cut = context;
	size_t used = strlen(cut->text);
	snprintf(cut->text + used, sizeof(cut->text) - used, "%s %lld %s\n", path, (long long)size, kept);
}

static void cut_to(const char *text, struct cut *cut)
{
	autojson json_object *object = NULL;
	struct error err = { 0 };
	cr_assert_eq(json_parse_object(text, strlen(text), &object, &err), 0, "%s", err.text);
	cr_assert_eq(mirror_cut(mirror, json_get_array(object, "logs"), note_cut, cut, &err), 0, "%s",
		     err.text);
}

static void expect_content(const char *path, const char *text)
{
	struct mirror_entry entry;
	char content[64] = "";
	cr_assert_eq(mirror_find(mirror, path, &entry), 0, "%s", path);
	autoclose int fd = mirror_open_content(mirror, entry.generation);
	cr_assert_geq(fd, 0);
	cr_expect_eq(read(fd, content, sizeof(content) - 1), (ssize_t)strlen(text));
	cr_expect_str_eq(content, text, "%s", path);
}

/* What is beyond an instant is kept, over the names that agents tell and a new start. */
Test(mirror, is_cut_back_to_an_instant)
{
	struct cut cut = { "" };
	struct mirror_entry entry;
	struct error err = { 0 };
	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 257, 0, "hello world", 11, NULL), 0);
	cr_assert_eq(mirror_append(mirror, 259, 0, "new", 3, NULL), 0);
	cut_to("{\"logs\": [[257, 5]]}", &cut);
	cr_expect_str_eq(cut.text, "output 5 output.lost-1\nsub/x 0 sub/x.lost-1\n");
	expect_content("output", "hello");
	expect_content("stdout.autosave", "hello");
	expect_content("output.lost-1", " world");
	expect_content("sub/x.lost-1", "new");
	cr_expect_eq(mirror_find(mirror, "sub/x", &entry), -ENOENT, "it was not there then");

	cr_assert_eq(set_names(TWO_NAMES), 0);
	cr_assert_eq(mirror_append(mirror, 257, 5, " again", 6, NULL), 0);
	expect_content("output.lost-1", " world");
	autojson json_object *have = mirror_have(mirror);
	cr_expect_eq(json_object_array_length(have), 3, "an agent is told of its own files only");

	mirror_close(mirror);
	cr_assert_eq(mirror_open(directory, &mirror, &err), 0, "%s", err.text);
	cut.text[0] = '\0';
	cut_to("{\"logs\": [[257, 6], [259, 0]]}", &cut);
	cr_expect_str_eq(cut.text, "output 6 output.lost-2\n");
	expect_content("output", "hello ");
	expect_content("output.lost-2", "again");
	expect_content("output.lost-1", " world");
}
