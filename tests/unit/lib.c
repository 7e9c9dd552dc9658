#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/proc.h"
#include "lib/utf8.h"

static char directory[64];

static void make_directory(void)
{
	strcpy(directory, "/tmp/floatfs-unit.XXXXXX");
	cr_assert(mkdtemp(directory));
}

static void remove_directory(void)
{
	file_remove_tree(directory);
}

Test(error, sentences)
{
	struct error err = { 0 };
	cr_expect_eq(error_set(&err, EINVAL, "wrong: %d", 7), -EINVAL);
	cr_expect_eq(err.code, EINVAL);
	cr_expect_str_eq(err.text, "wrong: 7");
	cr_expect_eq(error_prefix(&err, "job %s: ", "x"), -EINVAL);
	cr_expect(strstr(err.text, "job x") == err.text && strstr(err.text, "wrong: 7"), "%s", err.text);
	cr_expect_eq(error_sys(&err, ENOENT, "cannot open %s", "f"), -ENOENT);
	cr_expect(strstr(err.text, "cannot open f") && strstr(err.text, "No such file"), "%s", err.text);
	cr_expect_eq(error_set(NULL, EIO, "nobody reads it"), -EIO);
}

Test(error, long_sentences_are_cut)
{
	struct error err = { 0 };
	char text[2000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&err, EIO, "%s", text);
	cr_expect_lt(strlen(err.text), sizeof(err.text));
	error_prefix(&err, "%s", "before ");
	cr_expect_lt(strlen(err.text), sizeof(err.text));
	cr_expect(strstr(err.text, "before ") == err.text);
}

Test(file, durable_write_and_read, .init = make_directory, .fini = remove_directory)
{
	autofree char *path = format_string("%s/file", directory);
	autofree char *data = NULL;
	size_t length;
	cr_expect_eq(file_write_durable(path, "one\0two", 7, 0600), 0);
	cr_expect_eq(file_write_durable(path, "three", 5, 0640), 0);
	cr_expect_eq(file_read(path, 100, &data, &length), 0);
	cr_expect_eq(length, 5);
	cr_expect_str_eq(data, "three");
	struct stat stat_of;
	cr_expect_eq(stat(path, &stat_of), 0);
	cr_expect_eq(stat_of.st_mode & 0777, 0640);
	char *too_long = NULL;
	cr_expect_eq(file_read(path, 4, &too_long, NULL), -EFBIG);
	cr_expect_eq(file_read("/no/such/file", 4, &too_long, NULL), -ENOENT);
	autofree char *nowhere = format_string("%s/no/file", directory);
	cr_expect_eq(file_write_durable(nowhere, "x", 1, 0600), -ENOENT);
}

Test(file, trees, .init = make_directory, .fini = remove_directory)
{
	autofree char *deep = format_string("%s/a/b/c", directory);
	autofree char *top = format_string("%s/a", directory);
	autofree char *link = format_string("%s/a/link", directory);
	cr_expect_eq(file_make_directories(deep, 0755), 0);
	cr_expect_eq(file_make_directories(deep, 0755), 0);
	cr_expect_eq(symlink("/", link), 0);
	cr_expect_eq(file_remove_tree(top), 0);
	cr_expect(access(top, F_OK) < 0 && access("/tmp", F_OK) == 0);
	cr_expect_eq(file_remove_tree(top), 0, "nothing there is success");
}

Test(json, is_not_trusted)
{
	struct error err = { 0 };
	autojson json_object *object = NULL;
	static const char text[] = "{\"s\": \"text\", \"n\": 5, \"b\": true, \"o\": {}, \"a\": []}";
	cr_assert_eq(json_parse_object(text, strlen(text), &object, &err), 0, "%s", err.text);
	cr_expect_str_eq(json_get_string(object, "s", "?"), "text");
	cr_expect_str_eq(json_get_string(object, "n", "?"), "?");
	cr_expect_str_eq(json_get_string(object, "none", "?"), "?");
	cr_expect_eq(json_get_int(object, "n", -1), 5);
	cr_expect_eq(json_get_int(object, "s", -1), -1);
	cr_expect_eq(json_get_bool(object, "b", false), true);
	cr_expect_eq(json_get_bool(object, "s", false), false);
	cr_expect(json_get_object(object, "o") && !json_get_object(object, "a"));
	cr_expect(json_get_array(object, "a") && !json_get_array(object, "o"));

	/* Only so many bytes count, whatever follows. */
	json_object *first = NULL;
	cr_expect_eq(json_parse_object("{}\n{}", 3, &first, &err), 0, "%s", err.text);
	json_object_put(first);

	static const char *const bad[] = { "", "[]", "5", "{", "{} {}", "{\"a\": }", "null" };
	for (size_t i = 0; i < array_length(bad); i++) {
		json_object *none = NULL;
		cr_expect_lt(json_parse_object(bad[i], strlen(bad[i]), &none, &err), 0, "%s", bad[i]);
	}
}

Test(json, what_is_written_can_be_read)
{
	struct error err = { 0 };
	autojson json_object *object = json_object_new_object(), *read = NULL;
	json_set_string(object, "cut", "a caf\xc3");
	json_set_string(object, "latin", "caf\xe9!");
	json_set_string(object, "fine", "caf\xc3\xa9 \xe2\x80\xa6");
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	cr_assert_eq(json_parse_object(text, strlen(text), &read, &err), 0, "%s", err.text);
	cr_expect_str_eq(json_get_string(read, "cut", ""), "a caf?");
	cr_expect_str_eq(json_get_string(read, "latin", ""), "caf?!");
	cr_expect_str_eq(json_get_string(read, "fine", ""), "caf\xc3\xa9 \xe2\x80\xa6");
}

Test(utf8, knows_characters)
{
	static const char *const valid[] = {
		"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"
	};
	static const char *const not_valid[] = { "\x80",
						 "\xc0\x80",
						 "\xc3",
						 "\xe0\x9f\xbf",
						 "\xed\xa0\x80",
						 "\xf4\x90\x80\x80",
						 "\xf5\x80\x80\x80",
						 "\xff" };
	for (size_t i = 0; i < array_length(valid); i++)
		cr_expect(utf8_valid(valid[i]), "%zu", i);
	for (size_t i = 0; i < array_length(not_valid); i++)
		cr_expect(!utf8_valid(not_valid[i]), "%zu", i);
}

Test(proc, runs_programs)
{
	struct error err = { 0 };
	autofree char *output = NULL;
	cr_expect_eq(proc_run_simple(&err, "true"), 0);
	cr_expect_eq(proc_run_simple(&err, "sh", "-c", "echo the reason >&2; exit 3"), -EIO);
	cr_expect(strstr(err.text, "the reason"), "%s", err.text);
	cr_expect_lt(proc_run_simple(&err, "no-such-program"), 0);
	const char *const sleeping[] = { "sleep", "100", NULL };
	struct proc_options options = { .timeout_ms = 100 };
	cr_expect_eq(proc_run(sleeping, &options, &err), -ETIMEDOUT);
	const char *const talking[] = { "sh", "-c", "echo hello; echo $NAME", NULL };
	const char *const environment[] = { "NAME=value", NULL };
	struct proc_options captured = { .output = &output, .environment = environment };
	cr_expect_eq(proc_run(talking, &captured, &err), 0);
	cr_expect_str_eq(output, "hello\nvalue\n");
}

Test(utf8, escaped_names_come_back_as_they_were)
{
	static const char *const names[] = {
		"plain",   "",          "\xff", "a\\b", "\\xff",    "\\x5cxff",
		"ümläut",  "new\nline", "\\",   "\\x",  "\xc3\x28", "\xed\xa0\x80 half a pair",
		"end\\xf",
	};
	for (size_t i = 0; i < array_length(names); i++) {
		autofree char *text = utf8_escape(names[i], '\\');
		cr_expect(utf8_valid(text), "%s", text);
		utf8_unescape(text);
		cr_expect_str_eq(text, names[i]);
	}
	autofree char *shown = utf8_escape("a\\b\xff", '\0');
	cr_expect_str_eq(shown, "a\\b\\xff");
	/* No name holds a NUL. */
	char text[] = "a\\x00b\\x0gc\\x41";
	utf8_unescape(text);
	cr_expect_str_eq(text, "a\\x00b\\x0gcA");
}
