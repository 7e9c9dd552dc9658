#include "agent/jobtree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"

enum { PATH_LIMIT = 512 };

static const char *const log_files[] = { "output", "stdout.autosave", "stderr.autosave" };

static bool path_is_good(const char *path)
{
	if (strlen(path) > PATH_LIMIT)
		return false;
	for (const char *part = path;; part++) {
		size_t length = strcspn(part, "/");
		if (length == 0 || length > 255 || (length <= 2 && strspn(part, ".") >= length))
			return false;
		part += length;
		if (!*part)
			return true;
	}
}

static struct jobtree_node *find_path(const struct jobtree *tree, const char *path, size_t length)
{
	for (size_t i = 0; i < tree->count; i++)
		if (strncmp(tree->nodes[i].path, path, length) == 0 && tree->nodes[i].path[length] == '\0')
			return &tree->nodes[i];
	return NULL;
}

/* With the directories above it. */
static struct jobtree_node *add_node(struct jobtree *tree, const char *path, enum jobtree_kind kind,
				     mode_t mode)
{
	const char *slash = strrchr(path, '/');
	if (slash && !find_path(tree, path, (size_t)(slash - path))) {
		autofree char *above = strndup(path, (size_t)(slash - path));
		add_node(tree, above, JOBTREE_DIRECTORY, 0555);
	}
	tree->nodes = reallocarray(tree->nodes, tree->count + 1, sizeof(*tree->nodes));
	if (!tree->nodes)
		abort();
	struct jobtree_node *node = &tree->nodes[tree->count++];
	*node = (struct jobtree_node){ .path = format_string("%s", path), .kind = kind, .mode = mode & 0777 };
	return node;
}

static int find_kind(const char *kind, const char *name, enum jobtree_kind *found)
{
	static const struct {
		const char *word;
		enum jobtree_kind kind;
	} kinds[] = {
		{ "directory", JOBTREE_DIRECTORY }, { "value", JOBTREE_VALUE },
		{ "control", JOBTREE_CONTROL },     { "link", JOBTREE_ASKED_LINK },
		{ "live", JOBTREE_ASKED_LIVE },     { "wait", JOBTREE_WAIT },
	};
	for (size_t i = 0; i < array_length(kinds); i++) {
		if (strcmp(kinds[i].word, kind) != 0)
			continue;
		*found = kinds[i].kind;
		for (size_t j = 0; *found == JOBTREE_ASKED_LIVE && j < array_length(log_files); j++)
			if (strcmp(name, log_files[j]) == 0)
				*found = JOBTREE_LOG_FILE;
		return 0;
	}
	return -EINVAL;
}

static int add_row(struct jobtree *tree, json_object *row, const char *id, struct error *err)
{
	const char *name = json_get_string(row, "name", NULL), *kind = json_get_string(row, "kind", "");
	const char *given = json_get_string(row, "path", NULL);
	if (!name)
		return error_set(err, EINVAL, "a row of \"tree\" has no \"name\"");
	autofree char *path = given ? format_string("%s", given) : format_string("jobs/%s/%s", id, name);
	enum jobtree_kind found;
	if (!path_is_good(path) || find_kind(kind, name, &found) < 0)
		return error_set(err, EINVAL, "the row %s of \"tree\" has a wrong \"path\" or \"kind\"",
				 name);
	struct jobtree_node *node = find_path(tree, path, strlen(path));
	if (node && node->kind == JOBTREE_DIRECTORY && found == JOBTREE_DIRECTORY)
		return 0;
	if (node)
		return error_set(err, EINVAL, "\"tree\" has %s twice", path);
	node = add_node(tree, path, found,
			(mode_t)json_get_int(row, "mode", found == JOBTREE_DIRECTORY ? 0555 : 0444));
	node->name = format_string("%s", name);
	return 0;
}

static int compare_nodes(const void *one, const void *other)
{
	return strcmp(((const struct jobtree_node *)one)->path, ((const struct jobtree_node *)other)->path);
}

/* Sort, and say of each node which one is above it. */
static int finish(struct jobtree *tree, struct error *err)
{
	qsort(tree->nodes, tree->count, sizeof(*tree->nodes), compare_nodes);
	for (size_t i = 0; i < tree->count; i++) {
		struct jobtree_node *node = &tree->nodes[i];
		const char *slash = strrchr(node->path, '/');
		struct jobtree_node *above =
		    find_path(tree, node->path, slash ? (size_t)(slash - node->path) : 0);
		if (above->kind != JOBTREE_DIRECTORY)
			return error_set(err, EINVAL, "\"tree\" has %s, but what is above it is no directory",
					 node->path);
		node->parent = (size_t)(above - tree->nodes);
		node->leaf = slash ? slash + 1 : node->path;
	}
	return 0;
}

struct jobtree *jobtree_new(json_object *rows, const char *id, const char *log_path, struct error *err)
{
	struct jobtree *tree = calloc(1, sizeof(*tree));
	if (!tree)
		abort();
	add_node(tree, "", JOBTREE_DIRECTORY, 0555);
	autofree char *own = format_string("jobs/%s", id);
	add_node(tree, own, JOBTREE_DIRECTORY, 0555);
	add_node(tree, "jobs/self", JOBTREE_FIXED_LINK, 0777)->target = format_string("%s", id);
	int status = 0;
	for (size_t i = 0; rows && i < json_object_array_length(rows) && status == 0; i++)
		status = add_row(tree, json_object_array_get_idx(rows, i), id, err);
	/* The log directory as the job has it anyway: nothing of it needs to go through here. */
	autofree char *log = format_string("jobs/%s/log", id);
	if (status == 0 && !find_path(tree, log, strlen(log)))
		add_node(tree, log, JOBTREE_FIXED_LINK, 0777)->target = format_string("%s", log_path);
	if (status == 0)
		status = finish(tree, err);
	if (status == 0)
		return tree;
	jobtree_free(tree);
	return NULL;
}

void jobtree_free(struct jobtree *tree)
{
	if (!tree)
		return;
	for (size_t i = 0; i < tree->count; i++) {
		free(tree->nodes[i].path);
		free(tree->nodes[i].name);
		free(tree->nodes[i].target);
	}
	free(tree->nodes);
	free(tree);
}

const struct jobtree_node *jobtree_child(const struct jobtree *tree, const struct jobtree_node *parent,
					 const char *leaf)
{
	if (!*leaf || strchr(leaf, '/'))
		return NULL;
	autofree char *path =
	    *parent->path ? format_string("%s/%s", parent->path, leaf) : format_string("%s", leaf);
	struct jobtree_node key = { .path = path };
	return bsearch(&key, tree->nodes, tree->count, sizeof(*tree->nodes), compare_nodes);
}
