/*
 * The daemon: what every part of fs/ shares, and who owns what.
 *
 * Threads: FUSE's workers, one follower a running job (follow.h), one thread an operation under way (op.h),
 * one notifier (notify.h), one thread an image import (images.h), a few for each host that files are read on (files.h).
 *
 * fs->lock guards the tables and every job's record and error; it is never held across a system call that can
 * block (a disk's fsync, an agent, a cloud). Lock order: a job's settings_lock, its save_lock, then fs->lock,
 * then a mirror's own.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cloud/cloud.h"
#include "fs/options.h"
#include "fs/record.h"
#include "lib/error.h"

struct authority; /* authority.h */
struct faults;    /* faults.h */
struct files;     /* files.h */
struct follower;  /* follow.h */
struct images;    /* images.h */
struct mirror;    /* mirror.h */
struct notify;    /* notify.h */
struct secrets;   /* secrets.h */
struct user;      /* users.h */

/* What changed, for poll: each kind has a counter of its own. */
enum change { CHANGE_STATE, CHANGE_EVENTS, CHANGE_LOGS, CHANGE_KINDS };

/* Of the files of an ended job (files.h). */
struct job_files {
	bool serving;    /* its host answers what is asked */
	bool broken;     /* its host did not answer */
	bool shut;       /* the job is about to be forgotten: nothing is asked any more */
	int failure;     /* why no host came up */
	int64_t used_ms; /* the last answer */
	pid_t remover;   /* who began to remove the job's directory, and when */
	int64_t remover_ms;
};

struct job {
	struct floatfs *fs;
	uint64_t serial;
	char *directory; /* STATE/jobs/SERIAL */
	struct mirror *mirror;
	pthread_mutex_t settings_lock; /* a draft's settings do not change while it is held */
	pthread_mutex_t save_lock;     /* one record write at a time */

	/* Guarded by fs->lock. */
	struct record record;
	char error[512]; /* the sentence behind the last refusal */
	uint64_t changes[CHANGE_KINDS];
	int references;
	int64_t period_tried_ns;     /* when period.c began a snapshot, clock_monotonic_ns; 0: never */
	bool operating;              /* an operation's thread is at work on it */
	bool settles_later;          /* a thread of op_settle waits */
	bool forgotten;              /* rmdir took it out of the table */
	size_t hosted;               /* its place in fs->hosted, from 1; 0: it has no host */
	int64_t counted, counted_gb; /* what it counts for in its user's quota (users.h) */
	struct follower *follower;   /* NULL while nothing is followed */
	struct job_files files;
};

/* Who asks: a process on the mount, or the job itself through its agent. */
struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	/* It asked a floatfs that died before it answered (holder.h): what it asks for may be done already, and is then
	 * a success. */
	bool again;
	char request[48]; /* names what it asks, then and now, to agents (API.md, X-Float-Request); "" */
};

struct floatfs {
	struct options options;
	int lock_fd; /* STATE/lock, held as long as the daemon lives */
	const char *executable_directory;
	const struct cloud_ops *ops;
	struct cloud *cloud;
	struct authority *authority;
	struct images *images;
	struct secrets *secrets;
	struct faults *faults;
	struct notify *notify;
	struct files *files;

	pthread_mutex_t serial_lock; /* one writer of STATE/serial; taken before lock */
	uint64_t serial_reserved;    /* what STATE/serial says: no serial up to it is given after a crash */

	pthread_mutex_t lock;
	pthread_cond_t wakeup; /* stopping, an operation's end, a follower's end */
	struct job **jobs;     /* by serial, ascending */
	size_t job_count, job_room;
	void *jobs_by_id;    /* tsearch(3)'s tree of their record.id */
	struct job **hosted; /* those that have a host, or are given one; as long as jobs */
	size_t hosted_count;
	uint64_t last_serial;
	struct user *users;
	int workers; /* threads of operations and followers */
	bool stopping;
	bool leaving; /* the mount, and what waits on it, to the floatfs that is executed next */
};

/*
 * A serial: for a job, a host or an image; never given twice, not even after a crash. Any thread, without
 * fs->lock. 0 with err set when it cannot be recorded.
 */
uint64_t fs_new_serial(struct floatfs *fs, struct error *err);

/* Start a detached thread that fs_stop waits for; run frees its context. */
int fs_spawn(struct floatfs *fs, void (*run)(struct floatfs *fs, void *context), void *context,
	     struct error *err);

/* Wait up to ms or until something wakes fs->wakeup; false when the daemon is stopping. fs->lock is held. */
bool fs_wait_locked(struct floatfs *fs, int ms);
/* The same; fs->lock is not held. */
bool fs_wait(struct floatfs *fs, int ms);
