/*
 * The feed: the top-level file `events`, every job's events as JSON lines. Each user reads those of his own jobs, root
 * all: STATE/events/UID and STATE/events/all, append-only. Any thread, without fs->lock.
 */
#pragma once

#include "fs/job.h"

int feed_open(struct floatfs *fs, struct error *err);

/* An event of this job, as it stands in its job.events. Says so in the log if it cannot be written. */
void feed_append(struct job *job, int64_t when_ns, const char *text);

/* What that user may read, to be closed by the caller; -ENOENT while there is nothing. */
int feed_open_file(struct floatfs *fs, uid_t uid);
