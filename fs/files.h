/*
 * jobs/ID/files: what an ended job left on its volumes, read through the agent of a host that is brought up for it
 * (op_files.c) when somebody looks, and given back when nobody has looked for a while. floatfs itself never mounts a
 * job's file system.
 *
 * FUSE's requests about it are parked: a thread of FUSE's never waits for a host. Each is answered once, by whoever takes
 * it: a thread that asks the agent, an interrupt, or the end. Nothing else is kept: a file's node id says what to ask
 * for, on any host, after any restart. What was read stays right, as an ended job's files do not change: the kernel keeps
 * it.
 *
 * State is guarded by fs->lock; never called with it held unless the name says so.
 */
#pragma once

#include <fuse_lowlevel.h>

#include "fs/job.h"
#include "fs/tree.h"

struct files *files_new(struct floatfs *fs);
/* FUSE serves no more: answers what is parked, or leaves it to the next floatfs, and returns when nobody is answering. Before the session is destroyed.
 */
void files_stop(struct files *files);
void files_free(struct files *files);

/* Is this the directory files, or something in it? */
static inline bool files_holds(const struct node *node)
{
	return node->kind == TREE_FILES || node->kind == TREE_FILES_ENTRY;
}

/*
 * May they be looked at? 1: the agent is asked. 0: there is nothing, and nobody needs to be asked: the job never had
 * volumes, or the process `pid` is about to remove it (files_note_removal). -EOPNOTSUPP, with the sentence in the job's
 * `error`, while the job lives.
 */
int files_check(struct floatfs *fs, const struct node *node, pid_t pid);

/*
 * A process removed something from the job's directory, as `rm -r` does before it comes to files: to that process files
 * is empty from here on, for a minute, so that forgetting a job needs no host.
 */
void files_note_removal(struct floatfs *fs, const struct node *directory, pid_t pid);

/* Requests; each is answered, now or later. */
void files_lookup(struct floatfs *fs, fuse_req_t request, const struct node *directory, const char *name);
void files_stat(struct floatfs *fs, fuse_req_t request, const struct node *node);
void files_readlink(struct floatfs *fs, fuse_req_t request, const struct node *node);
void files_read(struct floatfs *fs, fuse_req_t request, const struct node *node, size_t size, off_t offset);
void files_seek(struct floatfs *fs, fuse_req_t request, const struct node *node, off_t offset, int whence);
/* plus: with attributes. */
void files_list(struct floatfs *fs, fuse_req_t request, const struct node *node, size_t size, off_t offset,
		bool plus);

/* Does anything wait for a host for this job? fs->lock is held. */
bool files_wanted_locked(struct job *job);
/* Answer with an error whatever waits. */
void files_refuse(struct job *job, int code);
/* No host is up for the job's files, and none comes up any more; undone by files.shut = false. -EBUSY when that takes too
 * long. */
int files_shut(struct job *job, struct error *err);

/* For op_files.c: answer what is asked until the host was not used for a while, does not answer, or must go. Always an
 * error: which says why. */
int files_serve(struct job *job, struct error *err);

/* op_files.c */
int op_files_begin(struct job *job, struct error *err);
/* What hosts/ID/status says of its host. */
const char *op_files_host_status(const struct record_op *op);
