/*
 * What floatfs knows of each user: the sentence behind the last refusal where no job has one, how much of the quota is
 * used, and how often the feed of events grew. Guarded by fs->lock; users are never forgotten, so a pointer stays good.
 */
#pragma once

#include "fs/job.h"

struct user {
	uid_t uid;
	char error[512];
	int64_t jobs;         /* in the tree, drafts and ended ones too */
	int64_t volume_gb;    /* of their volumes */
	uint64_t feed_change; /* feed.h */
	struct user *next;
};

/* Made on the first use. fs->lock is held. */
struct user *users_get_locked(struct floatfs *fs, uid_t uid);
void users_free_all(struct floatfs *fs);

/* Note the sentence for the top-level `error` of that user; without fs->lock. */
void users_set_error(struct floatfs *fs, uid_t uid, const char *text);

/*
 * Quotas (-o quota_jobs, quota_size), which root does not have. A job counts from mkdir to rmdir, its volumes from
 * the accepted start on. fs->lock is held; -EDQUOT with the sentence.
 */
int users_check_jobs_locked(struct floatfs *fs, uid_t uid, struct error *err);
/* Of the volumes that this record would have, beside those of the user's other jobs. */
int users_check_volumes_locked(struct floatfs *fs, const struct record *record, struct error *err);
/* To be called whenever the job came, went or got another record: what it counts for is its record's. */
void users_count_locked(struct job *job);
