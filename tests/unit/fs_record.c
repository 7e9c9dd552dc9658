#include "fs/record.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

static char *scratch_path(const char *name)
{
	char directory[] = "/tmp/float-unit-XXXXXX";
	cr_assert_not_null(mkdtemp(directory));
	return format_string("%s/%s", directory, name);
}

static void drop_scratch(char *path)
{
	*strrchr(path, '/') = '\0';
	file_remove_tree(path);
	free(path);
}

Test(record, comes_back_as_it_was_written)
{
	char *path = scratch_path("record.json");
	struct record written = {
		.version = RECORD_VERSION, .serial = 7, .uid = 1000, .epoch = 3, .volume_count = 2
	};
	record_set(written.id, "4BZXIxWu6L5ioCSqEMD63");
	record_set(written.status, "Floating");
	record_set(written.reason, "a \"quoted\" sentence, with \xc3\xa4 and \\");
	record_set(written.volumes[0].mount, "/data");
	written.volumes[0].size_gb = 10;
	record_set(written.volumes[1].id, "vol-1");
	record_set(written.op.name, "migrate");
	record_set(written.op.step, "grant");
	written.op.freeze_ns = 1769259204997727759;
	written.snapshot_count = written.last_snapshot = 1;
	written.snapshots[0].number = 1;
	record_set(written.snapshots[0].volume, "vol-2");
	cr_assert_eq(record_save(path, &written, NULL), 0);

	struct record read;
	struct error err = { 0 };
	cr_assert_eq(record_load(path, &read, &err), 0, "%s", err.text);
	cr_assert_eq(memcmp(&read, &written, sizeof(read)), 0);
	drop_scratch(path);
}

Test(record, of_a_newer_version_is_refused)
{
	char *path = scratch_path("record.json");
	static const char newer[] = "{\"version\": 3, \"serial\": 1}";
	struct record record;
	struct error err = { 0 };
	cr_assert_eq(file_write_durable(path, newer, strlen(newer), 0600), 0);
	cr_assert_eq(record_load(path, &record, &err), -EPROTONOSUPPORT);
	cr_assert_not_null(strstr(err.text, "newer floatfs"));
	drop_scratch(path);
}

Test(record, of_an_older_version_is_read)
{
	char *path = scratch_path("record.json");
	static const char older[] = "{\"version\": 1, \"serial\": 1, \"id\": \"a\", \"status\": \"Floating\","
				    " \"op\": {\"name\": \"migrate\", \"step\": 4}}";
	struct record record;
	struct error err = { 0 };
	cr_assert_eq(file_write_durable(path, older, strlen(older), 0600), 0);
	cr_assert_eq(record_load(path, &record, &err), 0, "%s", err.text);
	cr_expect_str_eq(record.op.step, "4");
	cr_expect_eq(record.version, RECORD_VERSION);
	drop_scratch(path);
}

Test(record, that_is_broken_is_refused)
{
	static const char *const broken[] = {
		"",
		"{",
		"[]",
		"null",
		"{}",
		"{\"version\": \"1\"}",
		"{\"version\": 1} x",
		"{\"version\": 1}",
		"{\"version\": 1, \"serial\": 1, \"id\": \"../a\", \"status\": \"Draft\"}",
		"{\"version\": 1, \"serial\": 0, \"id\": \"a\", \"status\": \"Draft\"}",
		"{\"version\": 1, \"serial\": 1, \"id\": \"a\"}",
	};
	char *path = scratch_path("record.json");
	for (size_t i = 0; i < array_length(broken); i++) {
		struct record record;
		struct error err = { 0 };
		cr_assert_eq(file_write_durable(path, broken[i], strlen(broken[i]), 0600), 0);
		cr_expect_lt(record_load(path, &record, &err), 0, "%s", broken[i]);
		cr_expect_neq(err.text[0], '\0');
	}
	drop_scratch(path);
}

Test(record, text_is_cut_to_fit)
{
	struct record record;
	char longer[2000];
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	record_set(record.reason, longer);
	cr_assert_eq(strlen(record.reason), sizeof(record.reason) - 1);
}
