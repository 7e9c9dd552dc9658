/* The tree as the job sees it on its own /float: rows for its agent, answers to what it asks. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/job.h"
#include "fs/tree.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/utf8.h"

enum { PIECE_LIMIT = 256 << 10 };

static const char *const kinds[] = {
	[HOW_VALUE] = "value", [HOW_CONTROL] = "control", [HOW_LIVE] = "live",
	[HOW_LINK] = "link",   [HOW_WAIT] = "wait",
};

/* A row outside the job's own directory has its path from the top, which is its name too, with a slash before
 * it. */
static void add_row(json_object *rows, const struct tree_entry *entry, const char *name, const char *path)
{
	json_object *row = json_object_new_object();
	json_set_string(row, "name", name);
	json_set_string(row, "path", path);
	json_set_string(row, "kind", kinds[entry->how]);
	json_set_int(row, "mode", entry->mode);
	json_object_array_add(rows, row);
}

json_object *tree_describe_for_job(struct floatfs *fs, const char *job)
{
	json_object *rows = json_object_new_array();
	size_t count, type_count;
	const struct tree_entry *table = tree_table(&count);
	const struct cloud_type *types = fs->ops->types(fs->cloud, &type_count);
	for (size_t i = 0; i < count; i++) {
		const struct tree_entry *entry = &table[i];
		if (!entry->in_job)
			continue;
		if (entry->parent == TREE_JOB) {
			autofree char *path = format_string("jobs/%s/%s", job, entry->name);
			add_row(rows, entry, entry->name, path);
		} else if (entry->kind == TREE_TYPE) {
			for (size_t t = 0; t < type_count; t++) {
				autofree char *name = format_string("/instances/%s", types[t].name);
				add_row(rows, entry, name, name + 1);
			}
		} else {
			autofree char *name = format_string("/%s", entry->name);
			add_row(rows, entry, name, entry->name);
		}
	}
	return rows;
}

static int find_node(struct job *job, const char *name, struct node *node)
{
	struct node root = { .kind = TREE_ROOT }, own = { .kind = TREE_JOB, .serial = job->serial };
	int status = *name == '/' ? tree_resolve(job->fs, &root, name + 1, node)
				  : tree_lookup(job->fs, &own, name, node);
	if (status < 0)
		return status;
	/* Whatever it asks for, it gets its own cut of the tree, and of another job nothing. */
	const struct tree_entry *entry = tree_entry(node->kind);
	if (!entry || !entry->in_job || (entry->parent == TREE_JOB && node->serial != job->serial))
		return -EACCES;
	return 0;
}

static int read_text(struct job *job, const struct node *node, json_object *answer)
{
	autofree char *text = NULL;
	size_t length;
	int status = tree_render(job->fs, node, &text, &length);
	if (status < 0)
		return status;
	/* A sentence may have been cut within a character. */
	utf8_repair(text);
	json_object_object_add(answer, "data", json_object_new_string_len(text, (int)length));
	return 0;
}

static int read_piece(struct job *job, const struct node *node, json_object *ask, json_object *answer)
{
	int64_t offset = json_get_int(ask, "offset", 0), size = json_get_int(ask, "size", 0);
	if (offset < 0 || size < 0)
		return -EINVAL;
	if (size > PIECE_LIMIT)
		size = PIECE_LIMIT;
	autoclose int fd = tree_open_live(job->fs, node);
	autofree char *piece = malloc((size_t)size + 1);
	if (!piece)
		return -ENOMEM;
	ssize_t got = fd < 0 ? 0 : pread(fd, piece, (size_t)size, offset);
	if (got < 0)
		return -errno;
	/* A character may be cut at either end of the piece. */
	piece[got] = '\0';
	utf8_repair(piece);
	json_object_object_add(answer, "data", json_object_new_string_len(piece, (int)got));
	return 0;
}

static int answer_node(struct job *job, const struct node *node, json_object *ask, json_object *answer)
{
	const struct tree_entry *entry = tree_entry(node->kind);
	const char *op = json_get_string(ask, "op", "");
	if (!strcmp(op, "write") && entry->how == HOW_CONTROL) {
		/* Which user of the container may was checked there, when the file was opened. */
		struct caller caller = { .uid = (uid_t)json_get_int(ask, "uid", 65534) };
		const char *data = json_get_string(ask, "data", "");
		json_object *text = NULL;
		json_object_object_get_ex(ask, "data", &text);
		return tree_command(job->fs, node, &caller, data,
				    text ? (size_t)json_object_get_string_len(text) : 0);
	}
	if (!strcmp(op, "size") && entry->how == HOW_LIVE) {
		struct stat st;
		int status = tree_stat(job->fs, node, &st);
		if (status == 0)
			json_set_int(answer, "size", st.st_size);
		return status;
	}
	if (!strcmp(op, "read") && entry->how == HOW_LIVE)
		return read_piece(job, node, ask, answer);
	if (!strcmp(op, "read") || !strcmp(op, "readlink"))
		return read_text(job, node, answer);
	return -EINVAL;
}

void tree_answer_job(struct job *job, json_object *ask, json_object *answer)
{
	struct node node;
	int status = find_node(job, json_get_string(ask, "name", ""), &node);
	if (status == 0)
		status = answer_node(job, &node, ask, answer);
	json_set_int(answer, "errno", -status);
}
