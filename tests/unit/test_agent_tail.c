/* What a stream tells of a log directory: agent/tail.h, agent/logdir.h and agent/frame.h. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tail.h"
#include "lib/file.h"
#include "lib/json.h"

static char directory[] = "/tmp/float-tail-XXXXXX";
static struct tail *tail;
static struct frame frame;
static int root = -1;
static const bool stop;

static void make(void)
{
	cr_assert_not_null(mkdtemp(directory));
	cr_assert_eq(chdir(directory), 0);
	root = logdir_open(directory);
	tail = tail_new(NULL);
}

static void clean(void)
{
	tail_free(tail);
	frame_free(&frame);
	close(root);
	cr_assert_eq(chdir("/"), 0);
	file_remove_tree(directory);
}

TestSuite(agent_tail, .init = make, .fini = clean);

static void put(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
	cr_assert_geq(fd, 0);
	cr_assert_eq(file_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

/* The next frame's line, parsed; NULL when there is nothing. Caller puts. *data: what follows the line. */
static json_object *next(const char **data)
{
	int again_ms, status;
	bool scan = true;
	do {
		status = tail_next(tail, root, &stop, scan, &frame, &again_ms);
		if (again_ms)
			usleep((useconds_t)again_ms * 1000);
		scan = false;
	} while (status == 0 && again_ms);
	cr_assert_geq(status, 0);
	if (status == 0)
		return NULL;
	char *newline = memchr(frame.bytes, '\n', frame.length);
	cr_assert_not_null(newline);
	json_object *line = NULL;
	struct error err = { 0 };
	cr_assert_eq(json_parse_object(frame.bytes, (size_t)(newline - frame.bytes), &line, &err), 0, "%s",
		     err.text);
	cr_assert_eq((int64_t)(frame.length - (size_t)(newline + 1 - frame.bytes)),
		     json_get_int(line, "bytes", 0));
	if (data)
		*data = newline + 1;
	return line;
}

static void expect_names(size_t count)
{
	json_object *line = next(NULL);
	cr_assert_not_null(json_get_array(line, "names"));
	cr_assert_eq(json_object_array_length(json_get_array(line, "names")), count);
	json_object_put(line);
}

static void expect_coming(size_t count)
{
	json_object *line = next(NULL);
	cr_assert_not_null(json_get_array(line, "coming"), "%s", json_object_to_json_string(line));
	cr_assert_eq(json_object_array_length(json_get_array(line, "coming")), count);
	json_object_put(line);
}

static void expect_data(int64_t offset, const char *text)
{
	const char *data;
	json_object *line = next(&data);
	cr_assert_not_null(line);
	cr_assert_eq(json_get_int(line, "offset", -1), offset, "%s", json_object_to_json_string(line));
	cr_assert_eq(json_get_int(line, "bytes", -1), (int64_t)strlen(text));
	cr_assert_eq(memcmp(data, text, strlen(text)), 0);
	json_object_put(line);
}

static void expect_truncated(void)
{
	json_object *line = next(NULL);
	cr_assert_neq(json_get_int(line, "truncated", -1), -1, "%s", json_object_to_json_string(line));
	cr_assert_eq(json_get_int(line, "size", -1), 0);
	json_object_put(line);
}

static void expect_nothing(void)
{
	json_object *line = next(NULL);
	cr_assert_null(line, "%s", json_object_to_json_string(line));
}

Test(agent_tail, data_first_then_names_once)
{
	expect_names(0);
	put("output", "one\n", 0);
	expect_coming(1);
	expect_data(0, "one\n");
	expect_names(1);
	expect_nothing();
	put("output", "two\n", O_APPEND);
	expect_data(4, "two\n");
	expect_nothing();
}

static void write_at(const char *path, int64_t offset, const char *text)
{
	int fd = open(path, O_WRONLY);
	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite(fd, text, strlen(text), offset), (ssize_t)strlen(text));
	close(fd);
}

static void expect_settled(void)
{
	json_object *line = next(NULL);
	cr_assert_gt(json_get_int(line, "settled", 0), 0, "%s", json_object_to_json_string(line));
	json_object_put(line);
}

static void expect_over(int64_t offset, size_t length, size_t at, const char *text)
{
	const char *data;
	json_object *line = next(&data);
	cr_assert(json_get_bool(line, "over", false), "%s", json_object_to_json_string(line));
	cr_assert_eq(json_get_int(line, "offset", -1), offset);
	cr_assert_eq(json_get_int(line, "bytes", -1), (int64_t)length);
	cr_assert_eq(memcmp(data + at, text, strlen(text)), 0);
	json_object_put(line);
}

enum { BURSTS = 5, LARGE = BURSTS * TAIL_BURST + 1000 };

/* A file of LARGE bytes, told but for its names; its generation. */
static int64_t tell_large(void)
{
	expect_names(0);
	put("large", "", 0);
	cr_assert_eq(truncate("large", LARGE), 0);
	expect_coming(1);
	int64_t generation = 0, mtime = 0;
	for (int i = 0; i <= BURSTS; i++) {
		json_object *line = next(NULL);
		cr_assert_eq(json_get_int(line, "offset", -1), i * TAIL_BURST);
		generation = json_get_int(line, "generation", 0);
		mtime = json_get_int(line, "mtime_ns", 0);
		cr_assert_eq(mtime != 0, i == BURSTS);
		json_object_put(line);
	}
	expect_names(1);
	expect_nothing();
	return generation;
}

Test(agent_tail, what_is_written_over_is_told)
{
	tell_large();
	write_at("large", 3 * TAIL_BURST + 7, "over");
	write_at("large", LARGE - 4, "last");
	expect_over(3 * TAIL_BURST, TAIL_BURST, 7, "over");
	expect_over(5 * TAIL_BURST, 1000, 996, "last");
	expect_settled();
	/* Once more, after a while: it may be written through a mapping. */
	expect_settled();
	expect_nothing();
	put("large", "more", O_APPEND);
	expect_data(LARGE, "more");
	write_at("large", LARGE + 1, "a");
	expect_over(5 * TAIL_BURST, 1004, 1000, "mare");
	expect_settled();
}

/* A file made at its full size that is written while it is told: the time stamp at its end is that of all of it. */
Test(agent_tail, what_is_written_over_while_it_is_told_is_told)
{
	expect_names(0);
	put("large", "", 0);
	cr_assert_eq(truncate("large", LARGE), 0);
	expect_coming(1);
	for (int i = 0; i <= BURSTS; i++) {
		if (i == 3)
			write_at("large", TAIL_BURST, "over");
		json_object_put(next(NULL));
	}
	expect_names(1);
	expect_over(TAIL_BURST, TAIL_BURST, 0, "over");
	expect_settled();
}

Test(agent_tail, a_new_time_stamp_alone_is_settled)
{
	tell_large();
	cr_assert_eq(utimensat(AT_FDCWD, "large", NULL, 0), 0);
	expect_settled();
	expect_nothing();
}

/* The next stream knows only how much was told, and of when it was. */
Test(agent_tail, what_was_written_over_between_two_streams_is_told)
{
	struct stat st;
	struct error err = { 0 };
	json_object *have;
	char text[200];
	int64_t generation = tell_large();
	cr_assert_eq(stat("large", &st), 0);
	for (int turn = 0; turn < 2; turn++) {
		snprintf(text, sizeof(text), "{\"have\":[[%lld,%d,%lld]]}", (long long)generation, LARGE,
			 st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec);
		cr_assert_eq(json_parse_object(text, strlen(text), &have, &err), 0);
		tail_free(tail);
		tail = tail_new(json_get_array(have, "have"));
		json_object_put(have);
		expect_names(1);
		if (turn == 1)
			for (int i = 0; i <= BURSTS; i++)
				expect_over(i * TAIL_BURST, i < BURSTS ? TAIL_BURST : 1000, i == 5 ? 990 : 0,
					    i == 5 ? "over" : "");
		if (turn == 1)
			expect_settled();
		if (turn == 0)
			expect_nothing();
		write_at("large", LARGE - 10, "over");
	}
}

Test(agent_tail, two_names_of_one_file)
{
	put("stdout.autosave", "one\n", 0);
	cr_assert_eq(link("stdout.autosave", "output"), 0);
	expect_coming(1);
	expect_data(0, "one\n");
	expect_names(2);
	expect_nothing();
	cr_assert_eq(unlink("output"), 0);
	expect_names(1);
	expect_nothing();
	cr_assert_eq(rename("stdout.autosave", "kept"), 0);
	expect_names(1);
	put("kept", "two\n", O_APPEND);
	expect_data(4, "two\n");
}

Test(agent_tail, what_a_file_had_is_told_before_its_new_name)
{
	put("log", "one\n", 0);
	expect_coming(1);
	expect_data(0, "one\n");
	expect_names(1);
	put("log", "two\n", O_APPEND);
	cr_assert_eq(rename("log", "log.1"), 0);
	put("log", "three\n", 0);
	put("result.tmp", "all of it\n", 0);
	cr_assert_eq(rename("result.tmp", "result"), 0);
	expect_coming(2);
	int64_t told = 0;
	for (int i = 0; i < 3; i++) {
		json_object *line = next(NULL);
		told += json_get_int(line, "bytes", 0);
		json_object_put(line);
	}
	cr_assert_eq(told, (int64_t)strlen("two\nthree\nall of it\n"));
	expect_names(3);
	expect_nothing();
}

/* The scan saw it under a name that it has no more when its data is read: then it is looked for again. */
Test(agent_tail, renamed_before_its_data_is_told)
{
	put("result.tmp", "all of it\n", 0);
	expect_coming(1);
	cr_assert_eq(rename("result.tmp", "result"), 0);
	expect_data(0, "all of it\n");
	json_object *line = next(NULL), *names = json_get_array(line, "names");
	cr_assert_str_eq(json_get_string(json_object_array_get_idx(names, 0), "path", ""), "result");
	json_object_put(line);
	expect_nothing();
}

Test(agent_tail, gone_before_its_data_is_told)
{
	put("temporary", "nothing\n", 0);
	expect_coming(1);
	cr_assert_eq(unlink("temporary"), 0);
	expect_names(0);
	expect_nothing();
}

Test(agent_tail, truncated)
{
	put("log", "a long line\n", 0);
	expect_coming(1);
	expect_data(0, "a long line\n");
	expect_names(1);
	put("log", "short\n", O_TRUNC);
	expect_truncated();
	expect_data(0, "short\n");
	expect_nothing();
}

Test(agent_tail, written_again_with_the_same_size_and_longer)
{
	put("progress", "51%\n", 0);
	expect_coming(1);
	expect_data(0, "51%\n");
	expect_names(1);
	put("progress", "99%\n", O_TRUNC);
	expect_truncated();
	expect_data(0, "99%\n");
	put("progress", "100%\n", O_TRUNC);
	expect_truncated();
	expect_data(0, "100%\n");
	expect_nothing();
}

Test(agent_tail, large_files_come_in_pieces_and_in_turn)
{
	char *text = malloc(3 * TAIL_BURST + 1);
	memset(text, 'x', 3 * TAIL_BURST);
	text[3 * TAIL_BURST] = '\0';
	put("a", text, 0);
	put("b", text, 0);
	expect_coming(2);
	uint64_t last = 0;
	for (int i = 0; i < 6; i++) {
		json_object *line = next(NULL);
		cr_assert_eq(json_get_int(line, "bytes", -1), TAIL_BURST);
		cr_assert_neq((uint64_t)json_get_int(line, "generation", -1), last);
		last = (uint64_t)json_get_int(line, "generation", -1);
		json_object_put(line);
	}
	expect_names(2);
	expect_nothing();
	free(text);
}

Test(agent_tail, goes_on_where_an_earlier_stream_ended)
{
	struct stat st;
	put("log", "told\nnew\n", 0);
	put("cut", "x", 0);
	cr_assert_eq(stat("log", &st), 0);
	json_object *have = json_object_new_array(), *pair = json_object_new_array();
	json_object_array_add(pair, json_object_new_uint64(st.st_ino));
	json_object_array_add(pair, json_object_new_int64(5));
	json_object_array_add(have, pair);
	cr_assert_eq(stat("cut", &st), 0);
	pair = json_object_new_array();
	json_object_array_add(pair, json_object_new_uint64(st.st_ino));
	json_object_array_add(pair, json_object_new_int64(100));
	json_object_array_add(have, pair);
	json_object_array_add(have, json_object_new_string("nonsense"));
	tail_free(tail);
	tail = tail_new(have);
	json_object_put(have);
	int frames = 0;
	json_object *line;
	while ((line = next(NULL))) {
		if (json_get_int(line, "bytes", 0) == 4)
			cr_assert_eq(json_get_int(line, "offset", -1), 5);
		else if (json_get_int(line, "bytes", 0) == 1)
			cr_assert_eq(json_get_int(line, "offset", -1), 0);
		else if (json_get_array(line, "names"))
			cr_assert_eq(frames, 3);
		else
			cr_assert_eq(json_get_int(line, "truncated", -1), (int64_t)st.st_ino);
		json_object_put(line);
		frames++;
	}
	cr_assert_eq(frames, 4);
}

Test(agent_tail, links_are_told_and_pipes_are_not)
{
	cr_assert_eq(symlink("/etc/passwd", "link"), 0);
	cr_assert_eq(mkfifo("pipe", 0600), 0);
	cr_assert_eq(mkdir("sub", 0700), 0);
	put("sub/file", "deep", 0);
	expect_coming(1);
	expect_data(0, "deep");
	json_object *line = next(NULL), *names = json_get_array(line, "names");
	cr_assert_eq(json_object_array_length(names), 3);
	json_object *first = json_object_array_get_idx(names, 0);
	cr_assert_str_eq(json_get_string(first, "type", ""), "link");
	cr_assert_str_eq(json_get_string(first, "target", ""), "/etc/passwd");
	cr_assert_str_eq(json_get_string(json_object_array_get_idx(names, 2), "path", ""), "sub/file");
	json_object_put(line);
	expect_nothing();
	struct stat st;
	cr_assert_eq(logdir_open_file(root, "link", &st), -ENOENT);
	cr_assert_eq(logdir_open_file(root, "pipe", &st), -ENOENT);
	cr_assert_lt(logdir_open_file(root, "../../etc/passwd", &st), 0);
	cr_assert_lt(logdir_open_file(root, "/etc/passwd", &st), 0);
}

Test(agent_tail, names_are_told_as_utf8)
{
	static const struct {
		const char *name, *told;
	} cases[] = {
		{ "plain", "plain" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "bad\xff", "bad\\xff" },
		{ "cut\xc3", "cut\\xc3" },
		{ "long\xc0\x80", "long\\xc0\\x80" },
		{ "half\xed\xa0\x80", "half\\xed\\xa0\\x80" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *told = logdir_printable(cases[i].name);
		cr_assert_str_eq(told, cases[i].told);
		free(told);
	}
}

Test(agent_tail, frames)
{
	json_object *exit = json_object_new_object();
	json_set_int(exit, "code", 3);
	frame_exit(&frame, exit);
	json_object_put(exit);
	cr_assert_eq(frame.length, strlen("{\"exit\":{\"code\":3}}\n"));
	cr_assert_eq(memcmp(frame.bytes, "{\"exit\":{\"code\":3}}\n", frame.length), 0);
	frame_alive(&frame);
	cr_assert_eq(memcmp(frame.bytes, "{}\n", 3), 0);
	frame_data(&frame, &(struct frame_piece){ .generation = 257, .offset = 4096 }, "a\0b", 3);
	cr_assert_eq(
	    memcmp(frame.bytes, "{\"generation\":257,\"offset\":4096,\"bytes\":3}\na\0b", frame.length), 0);
}
