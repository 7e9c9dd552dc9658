/*
 * The tree: one static table of everything in it (tree.c). What the kernel sees, the README in the mount,
 * floatfs(5) and the job's own /float all come from its rows.
 *
 * A node is a row's kind and what it belongs to. Node ids are computed from that, never pointers, and serials
 * are never reused: an id means the same after a restart of the daemon.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fs/fs.h"

/* Their numbers stand in node ids, which a mount keeps over an upgrade of floatfs (holder.h): a new one comes last. */
enum tree_kind {
	TREE_NONE,
	TREE_ROOT, /* 1: FUSE_ROOT_ID */
	TREE_README,
	TREE_ERROR,
	TREE_FEED,
	TREE_JOBS,
	TREE_JOB,
	TREE_NAME,
	TREE_IMAGE,
	TREE_INSTANCE,
	TREE_SCRIPT,
	TREE_ARGS,
	TREE_ENV,
	TREE_VOLUMES,
	TREE_TAGS,
	TREE_POLICY,
	TREE_CTL,
	TREE_MIGRATE,
	TREE_STATUS,
	TREE_OUTPUT,
	TREE_STDOUT,
	TREE_STDERR,
	TREE_EVENTS,
	TREE_LOG,
	TREE_LOG_ENTRY,
	TREE_INFO,
	TREE_INFO_JSON,
	TREE_EXIT_CODE,
	TREE_WAIT,
	TREE_HOST_LINK,
	TREE_JOB_ERROR,
	TREE_SNAPSHOTS,
	TREE_SNAPSHOT,
	TREE_SNAPSHOT_TIME,
	TREE_SNAPSHOT_SIZE,
	TREE_SNAPSHOT_HOST,
	TREE_FILES,
	TREE_FILES_ENTRY,
	TREE_HOSTS,
	TREE_HOST,
	TREE_HOST_STATUS,
	TREE_HOST_INSTANCE,
	TREE_HOST_ZONE,
	TREE_HOST_MARKET,
	TREE_HOST_ADDRESS,
	TREE_HOST_JOB,
	TREE_HOST_CTL,
	TREE_INSTANCES,
	TREE_TYPE,
	TREE_IMAGES,
	TREE_IMAGE_DIRECTORY,
	TREE_IMAGE_DIGEST,
	TREE_IMAGE_SIZE,
	TREE_IMAGE_STATUS,
	TREE_IMAGE_CTL,
	TREE_SECRETS,
	TREE_SECRET,
	TREE_KINDS,
};

/* How an entry is shown. */
enum tree_how {
	HOW_DIRECTORY, /* its members are rows, or (name NULL in their row) made by what there is */
	HOW_SETTING,   /* a small text file */
	HOW_VALUE,     /* text, rendered when it is opened */
	HOW_CONTROL,   /* the same when read; one write is one command */
	HOW_LIVE,      /* a growing file */
	HOW_WAIT,      /* a read returns when the job has ended */
	HOW_LINK,
	HOW_LOG_ENTRY, /* a file, directory or link of the log directory */
	HOW_SECRET,    /* a small file that is written and never read */
	HOW_FILES,     /* whatever an ended job left on its volumes: its agent knows (files.h) */
};

struct node {
	enum tree_kind kind;
	uint64_t serial; /* of the job, host or image; a type's place in the provider's list, from 1; 0 for
			    the top */
	uint32_t
	    generation; /* of a log entry; of a file on a volume its inode number; the asking user where the
				entry is per_user; a snapshot's number */
	uint8_t volume; /* of a file on a volume: which (agent/API.md) */
};

struct tree_entry {
	enum tree_kind kind, parent;
	const char *name; /* NULL: one for each job, host, type, image, log file or file */
	mode_t mode;      /* permission bits */
	enum tree_how how;
	bool in_job;   /* the job sees it on its own /float too */
	bool per_user; /* each user sees one of his own */
	bool live;     /* a setting that is written until the job has ended, not only while it is a draft */
	bool poll;
	enum change change; /* what poll tells of */
	/* Text of a value, control or link; 0 or -errno. */
	int (*show)(struct floatfs *fs, const struct node *node, FILE *out);
	/* One command: text is trimmed and not empty. A refusal's sentence goes to `error` by the caller. */
	int (*write)(struct floatfs *fs, const struct node *node, const struct caller *caller,
		     const char *text, struct error *err);
	const char *help; /* one line, for README and floatfs(5) */
};

const struct tree_entry *tree_entry(enum tree_kind kind);
/* All rows, in the order of the documentation. */
const struct tree_entry *tree_table(size_t *count);

enum { TREE_MEANINGS = 256 }; /* a kind has 8 bits */
/* What each kind stands for, as a number that differs where that does; 0: nothing. */
void tree_describe_kinds(uint32_t meanings[TREE_MEANINGS]);

uint64_t tree_id(const struct node *node);
struct node tree_node(uint64_t id);

/* A member of a directory by name; -ENOENT. (tree_walk.c) */
int tree_lookup(struct floatfs *fs, const struct node *directory, const char *name, struct node *node);
/* A path below a node, no leading slash. */
int tree_resolve(struct floatfs *fs, const struct node *from, const char *path, struct node *node);
/* Calls visit with each member, until it returns non-zero; which is returned. */
int tree_list(struct floatfs *fs, const struct node *directory,
	      int (*visit)(void *context, const char *name, const struct node *node), void *context);
/* -ENOENT when it is gone. */
int tree_stat(struct floatfs *fs, const struct node *node, struct stat *st);

/* Is it a job's directory, or in it? Not the files of an ended job, which are its volumes'. */
bool tree_is_below_job(const struct node *node);

/* Text of a value, control or link; caller frees. (tree_walk.c) */
int tree_render(struct floatfs *fs, const struct node *node, char **text, size_t *length);
/* Whether its content is what it will stay: a log or file of a job that has ended. */
bool tree_is_final(struct floatfs *fs, const struct node *node);
/* What poll tells of: differs once there is something new. */
uint64_t tree_change(struct floatfs *fs, const struct node *node);
/*
 * A command: data is what one write(2) brought. Checks its form, runs the entry's write, notes the sentence
 * of a refusal in `error`. 0 or -errno.
 */
int tree_command(struct floatfs *fs, const struct node *node, const struct caller *caller, const void *data,
		 size_t length);
/* The descriptor behind a live file or log file, to be closed by the caller; -ENOENT while there is none yet.
 */
int tree_open_live(struct floatfs *fs, const struct node *node);

/* It is opened, or closed: a log file that is deleted meanwhile stays for who has it open. -ENOENT. */
int tree_hold(struct floatfs *fs, const struct node *node);
void tree_let_go(struct floatfs *fs, const struct node *node);

/* SPEC's `tree` (agent/API.md): the rows that the job sees. Caller puts. */
json_object *tree_describe_for_job(struct floatfs *fs, const char *job);
/* A request that a job made on its own /float; answer gets "errno" and "data". */
void tree_answer_job(struct job *job, json_object *ask, json_object *answer);
