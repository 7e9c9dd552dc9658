/* What files.c (who waits, who answers) and files_ask.c (what is asked, what is told) share; nobody else includes this. */
#pragma once

#include <sys/queue.h>

#include "fs/files.h"

struct ask;

/* What an agent said. */
struct ask_result {
	json_object *answer; /* NULL: nothing is there */
	char *data;          /* of a kind that reads bytes */
	size_t length;
};

struct ask_kind {
	const char *op;
	/* Members of the body beyond op, volume and inode; NULL: none. */
	void (*describe)(const struct ask *ask, json_object *body);
	/* Answer FUSE. */
	void (*reply)(const struct ask *ask, fuse_req_t request, const struct ask_result *result);
	bool bytes;
};

/* A parked request. Guarded by fs->lock: entries, request, taken. */
struct ask {
	TAILQ_ENTRY(ask) entries;
	fuse_req_t request; /* NULL: answered */
	bool taken;         /* a thread asks the agent */
	struct job *job;    /* a reference */
	const struct ask_kind *kind;
	struct node node;
	char *name;
	size_t size;
	off_t offset;
	bool hole, plus;
	int tries;
};

/* Takes over the ask. */
void files_park(struct floatfs *fs, struct ask *ask);

json_object *files_describe_ask(const struct ask *ask);

/* An entry of an answer; -EPROTO of what cannot be one, -EOVERFLOW of a number that does not fit a node id. */
int files_parse_entry(json_object *entry, uint64_t serial, struct node *node, struct stat *st);
