/*
 * The table of a job's own /float (SPEC's "tree"), as a tree: pure, no I/O. Nodes are sorted by path, and a
 * node's number is its place: the same table gives the same numbers everywhere. Read-only once made: any
 * thread.
 */
#pragma once

#include <json-c/json.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/error.h"

enum jobtree_kind {
	JOBTREE_DIRECTORY,
	JOBTREE_VALUE,
	JOBTREE_CONTROL,
	JOBTREE_ASKED_LINK, /* the controller knows where it leads */
	JOBTREE_FIXED_LINK, /* target says it */
	JOBTREE_LOG_FILE,   /* the file of that name in the log directory */
	JOBTREE_ASKED_LIVE, /* size and content from the controller */
	JOBTREE_WAIT,       /* a read lasts as long as the job */
};

struct jobtree_node {
	char *path;       /* "" is the top */
	const char *leaf; /* its last part; borrowed from path */
	char *name;       /* of the row, as the controller knows it */
	char *target;     /* of a fixed link */
	size_t parent;
	enum jobtree_kind kind;
	mode_t mode; /* permission bits */
};

struct jobtree {
	struct jobtree_node *nodes; /* the top is the first */
	size_t count;
};

/* tree may be NULL (an empty table). NULL with err set when the table cannot be. */
struct jobtree *jobtree_new(json_object *tree, const char *id, const char *log_path, struct error *err);
void jobtree_free(struct jobtree *tree);

/* NULL: no such child. */
const struct jobtree_node *jobtree_child(const struct jobtree *tree, const struct jobtree_node *parent,
					 const char *leaf);
