/* Jobs: the table of them, their references, their records on disk. Threads and locks: fs.h. */
#pragma once

#include "fs/fs.h"

/* Read every record of STATE/jobs. Before other threads run. */
int job_load_all(struct floatfs *fs, struct error *err);
void job_free_all(struct floatfs *fs);

/* A draft of that id. -EEXIST, -EINVAL. */
int job_create_draft(struct floatfs *fs, const char *id, const struct caller *caller, struct error *err);

/*
 * Forget a draft or an ended job, with its volumes and logs. -EBUSY while it lives.
 */
int job_forget(struct floatfs *fs, const char *id, struct error *err);

/* A reference, to be given back with job_put; NULL where there is none. */
struct job *job_find(struct floatfs *fs, const char *id);
struct job *job_find_serial(struct floatfs *fs, uint64_t serial);
struct job *job_get_locked(struct job *job);
void job_put(struct job *job);

#define autojob __attribute__((cleanup(job_cleanup_)))
static inline void job_cleanup_(struct job **job)
{
	if (*job)
		job_put(*job);
}

void job_lock(struct job *job); /* fs->lock, by another name */
void job_unlock(struct job *job);

/* A copy of the record as it is now. */
void job_snapshot(struct job *job, struct record *record);

/* Write the record as it is now; without fs->lock. Returns when it is durable. */
int job_save(struct job *job, struct error *err);
/*
 * The operation under way is over, and leaves that status. First the record: what somebody does who sees the new status
 * must not find the old one after a crash. Then all of it is shown at once, also when it could not be written: who sees
 * the new status finds nothing under way.
 */
int job_end_op(struct job *job, const char *status, struct error *err);

/* Set the status and tell who polls; fs->lock is held. */
void job_set_status_locked(struct job *job, const char *status);

/* Something changed: wake polls and parked reads. With or without fs->lock. */
void job_changed_locked(struct job *job, enum change change);
/* How it had ended, or that its host was lost, is not so any more. */
void job_revive_locked(struct job *job);
void job_changed(struct job *job, enum change change);

bool job_is_draft(const struct record *record);
bool job_has_ended(const struct record *record);
/* Its processes are on its host: they run there, or did when it was lost. */
bool job_is_on_host(const struct record *record);
/* It is suspended, or has ended with a snapshot. */
bool job_may_be_resumed(const struct record *record);
/* The status of a job that has ended, as a word that stays; NULL of another. */
const char *job_status_of_end(const char *status);
const char *job_ended_status(const struct record *record);

/* USD so far, in millionths: hosts given back and the one it has. */
int64_t job_cost_microusd(struct floatfs *fs, const struct record *record);
/* The same of one host, for the time from since_ns to now. */
int64_t job_host_cost(struct floatfs *fs, const char *type, const char *market, int64_t since_ns);

/* A path in the job's directory; caller frees. */
char *job_path(struct job *job, const char *name);
