/* What an agent says about an ended job's files: fs/files_ask.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fs/files_inside.h"
#include "fs/op.h"
#include "lib/cleanup.h"
#include "lib/json.h"

static int parse(const char *text, struct node *node, struct stat *st)
{
	autojson json_object *entry = NULL;
	cr_assert_eq(json_parse_object(text, strlen(text), &entry, NULL), 0, "%s", text);
	return files_parse_entry(entry, 7, node, st);
}

Test(files, an_entry_has_all_that_stat_tells)
{
	struct node node;
	struct stat st;
	cr_assert_eq(parse("{\"volume\": 3, \"inode\": 4294967295, \"mode\": 35309, \"nlink\": 2, \"uid\": "
			   "65534, \"gid\": 4294967294, \"size\": 1099511627776, \"blocks\": 8, \"atime\": "
			   "[1, 2], \"mtime\": [-31449600, 999999999], \"ctime\": [16725312000, 0]}",
			   &node, &st),
		     0);
	cr_expect_eq(node.kind, TREE_FILES_ENTRY);
	cr_expect_eq(node.serial, 7);
	cr_expect_eq(node.volume, 3);
	cr_expect_eq(node.generation, UINT32_MAX);
	cr_expect_eq(st.st_ino, tree_id(&node));
	cr_expect_eq(st.st_mode, S_IFREG | 04755);
	cr_expect_eq(st.st_nlink, 2);
	cr_expect_eq(st.st_uid, 65534);
	cr_expect_eq(st.st_gid, 4294967294);
	cr_expect_eq(st.st_size, 1LL << 40);
	cr_expect_eq(st.st_blocks, 8);
	cr_expect_eq(st.st_mtim.tv_sec, -31449600);
	cr_expect_eq(st.st_mtim.tv_nsec, 999999999);
	cr_expect_eq(st.st_ctim.tv_sec, 16725312000);
	cr_assert_eq(parse("{\"volume\": 1, \"inode\": 257, \"mode\": 8630, \"major\": 10, \"minor\": 229}",
			   &node, &st),
		     0);
	cr_expect(S_ISCHR(st.st_mode));
	cr_expect_eq(st.st_rdev, makedev(10, 229));
}

Test(files, what_cannot_be_an_entry)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{ "{}", -EPROTO },
		{ "{\"volume\": 0, \"inode\": 257}", -EPROTO },
		{ "{\"volume\": 32, \"inode\": 257, \"mode\": 33188}", -EPROTO },
		{ "{\"volume\": -1, \"inode\": 257, \"mode\": 33188}", -EPROTO },
		{ "{\"volume\": 0, \"inode\": 0, \"mode\": 33188}", -EPROTO },
		{ "{\"volume\": 0, \"inode\": 257, \"mode\": 65536}", -EPROTO },
		{ "{\"volume\": 0, \"inode\": 4294967296, \"mode\": 33188}", -EOVERFLOW },
	};
	for (size_t i = 0; i < array_length(cases); i++) {
		struct node node;
		struct stat st;
		cr_expect_eq(parse(cases[i].text, &node, &st), cases[i].status, "%s", cases[i].text);
	}
}

Test(files, a_host_is_new_then_running_then_leaving)
{
	struct record_op op = { 0 };
	cr_expect_str_eq(op_files_host_status(&op), "new");
	record_set(op.step, op_files.steps[op_files.count - 1].name);
	cr_expect_str_eq(op_files_host_status(&op), "running");
	op.undoing = 1;
	cr_expect_str_eq(op_files_host_status(&op), "leaving");
}
