/*
 * The job's own /float: the controller's tree cut to one job, served by FUSE in the keeper's process.
 *
 * Lookup, open, getattr and readdir are answered from SPEC's "tree" alone; node ids and inode numbers are
 * places in that table, so the same table has the same on every host (CRIU compares them). What only the
 * controller knows is asked over the agent's socket, without anything else waiting for it.
 *
 * A row of the table: {"name", "kind", "mode", "path"}; without "path" it is at jobs/ID/NAME. Directories
 * above a path need no row. Kinds:
 *   value      text, asked once per open handle; shows a constant size
 *   control    as value when read; one write(2) is one command
 *   link       a symbolic link, asked at each readlink
 *   directory  an empty directory
 *   live       output, stdout.autosave, stderr.autosave: that file of the log directory; any other name: asked,
 *              with its size (op "size") and by pieces (op "read" with "offset" and "size")
 *   wait       a read lasts as long as the job, or until a signal ends it; nobody is asked
 * jobs/self is a link to the job's directory, jobs/ID/log one to the log directory as the job sees it.
 *
 * Any thread may call these; one thread of its own serves. One mutex guards everything and is held for short.
 */
#pragma once

#include <json-c/json.h>
#include <sys/types.h>

#include "lib/error.h"

struct jobfs;

/* All borrowed during jobfs_start only. */
struct jobfs_config {
	const char *id;         /* the job's */
	const char *mountpoint; /* a directory that is there */
	const char *socket;     /* DIRECTORY/ask.sock; need not be there yet */
	const char *log_dir;    /* where the host has the log subvolume while it is mounted */
	const char *log_path;   /* the same directory as the job sees it: SPEC's "log" */
	uid_t uid;              /* whose the files are */
	gid_t gid;
	json_object *tree; /* SPEC's "tree" */
};

/* Mounts and serves. */
int jobfs_start(const struct jobfs_config *config, struct jobfs **fs, struct error *err);

/*
 * From here the live files stand still: sizes stay and the log directory is not touched. For the time from
 * the dump to the thaw: called with the tasks stopped and the log subvolume still mounted. Returns the sizes,
 * for jobfs_hold_at on the other host before the restore; caller puts.
 */
json_object *jobfs_hold(struct jobfs *fs);
/* The same with the sizes that the other side (or an earlier keeper) had; sizes may be NULL. */
void jobfs_hold_at(struct jobfs *fs, json_object *sizes);
/* The job runs: live files are live again. */
void jobfs_go_on(struct jobfs *fs);

/* Unmounts; waiting requests of the job get an error. NULL is allowed. */
void jobfs_stop(struct jobfs *fs);
