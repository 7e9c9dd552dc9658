#include "fs/tree.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fs/events.h"
#include "fs/notify.h"
#include "fs/op.h"
#include "lib/cleanup.h"
#include "lib/json.h"

Test(tree, ids_lead_back_to_their_nodes)
{
	static const struct node nodes[] = {
		{ .kind = TREE_ROOT },
		{ .kind = TREE_JOB, .serial = 1 },
		{ .kind = TREE_STATUS, .serial = 123456789 },
		{ .kind = TREE_LOG_ENTRY, .serial = 4711, .generation = 257 },
		{ .kind = TREE_LOG_ENTRY, .serial = 1, .generation = UINT32_MAX },
		{ .kind = TREE_FILES, .serial = 4711 },
		{ .kind = TREE_FILES_ENTRY, .serial = 4711, .generation = 256 },
		{ .kind = TREE_FILES_ENTRY, .serial = 4711, .generation = 256, .volume = 16 },
		{ .kind = TREE_FILES_ENTRY, .serial = 33554431, .generation = UINT32_MAX, .volume = 31 },
		{ .kind = TREE_FILES_ENTRY, .serial = 1, .generation = 1 },
		{ .kind = TREE_SNAPSHOT, .serial = 1, .generation = 1 },
		{ .kind = TREE_SNAPSHOT, .serial = 1, .generation = 65535 },
		{ .kind = TREE_SNAPSHOT_HOST, .serial = 8388607, .generation = 2 },
	};
	cr_assert_eq(tree_id(&nodes[0]), 1, "FUSE_ROOT_ID");
	for (size_t i = 0; i < array_length(nodes); i++) {
		struct node back = tree_node(tree_id(&nodes[i]));
		cr_expect_eq(back.kind, nodes[i].kind);
		cr_expect_eq(back.serial, nodes[i].serial);
		cr_expect_eq(back.generation, nodes[i].generation);
		cr_expect_eq(back.volume, nodes[i].volume);
		for (size_t j = 0; j < i; j++)
			cr_expect_neq(tree_id(&nodes[i]), tree_id(&nodes[j]), "nodes %zu and %zu", i, j);
	}
}

Test(tree, every_row_is_whole)
{
	size_t count;
	const struct tree_entry *table = tree_table(&count);
	for (size_t i = 0; i < count; i++) {
		const struct tree_entry *entry = &table[i];
		cr_expect_eq(tree_entry(entry->kind), entry, "row %zu: its kind stands twice", i);
		cr_expect_not_null(entry->help);
		if (entry->kind != TREE_ROOT)
			cr_expect_eq(tree_entry(entry->parent)->how, HOW_DIRECTORY);
		if (entry->how == HOW_VALUE || entry->how == HOW_CONTROL || entry->how == HOW_LINK)
			cr_expect_not_null(entry->show, "%s", entry->name);
		cr_expect_eq(entry->write != NULL, entry->how == HOW_CONTROL);
		bool written = entry->how == HOW_CONTROL || entry->how == HOW_SETTING ||
			       entry->how == HOW_SECRET || entry->how == HOW_LINK ||
			       entry->how == HOW_DIRECTORY;
		cr_expect(written || !(entry->mode & 0222), "%s shows a write bit that nothing answers",
			  entry->name);
	}
}

Test(events, durations_look_like_the_documented_ones)
{
	char text[40];
	events_format_duration(1297557077, text, sizeof(text));
	cr_expect_str_eq(text, "1.297557077s");
	events_format_duration(85224000, text, sizeof(text));
	cr_expect_str_eq(text, "0.085224000s");
}

Test(wait, says_how_the_job_ended)
{
	static const struct {
		const char *status;
		int64_t known, code, signal;
		const char *text;
	} cases[] = {
		{ "Draft", 0, 0, 0, "" },
		{ "Executing", 1, 3, 0, "" }, /* its host is still being given back */
		{ "Completed", 1, 0, 0, "0\n" },
		{ "FailToComplete", 1, 3, 0, "3\n" },
		{ "FailToComplete", 1, 0, 9, "137\n" },
		{ "FailToExecute", 0, 0, 0, "255\n" },
	};
	for (size_t i = 0; i < array_length(cases); i++) {
		struct record record = { .exit_known = cases[i].known,
					 .exit_code = cases[i].code,
					 .exit_signal = cases[i].signal };
		char text[16];
		record_set(record.status, cases[i].status);
		notify_exit_text(&record, text);
		cr_expect_str_eq(text, cases[i].text);
	}
}

/* What the log, the options and the records name steps by. */
Test(operations, have_names_of_their_own)
{
	for (size_t i = 0; op_tables[i]; i++) {
		const struct op_table *table = op_tables[i];
		cr_expect_lt(strlen(table->name), sizeof(((struct record_op *)0)->name), "%s", table->name);
		cr_expect_not_null(table->finish);
		cr_expect_not_null(table->fail);
		bool final = false;
		for (size_t j = 0; j < table->count; j++) {
			const struct op_step *step = &table->steps[j];
			cr_expect_not_null(step->run, "%s.%s", table->name, step->name);
			/* Past the point of no return nothing is undone. */
			cr_expect(!final || step->final, "%s.%s", table->name, step->name);
			cr_expect(!step->final || !step->undo, "%s.%s", table->name, step->name);
			final = step->final;
			for (size_t k = 0; k < j; k++)
				cr_expect_str_neq(step->name, table->steps[k].name, "%s", table->name);
		}
		for (size_t k = 0; k < i; k++)
			cr_expect_str_neq(table->name, op_tables[k]->name);
	}
}
