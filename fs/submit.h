/* `start`: a draft's settings are checked, all of them, and become the job's record. */
#pragma once

#include "fs/job.h"

/* Refuses with a sentence for each wrong setting; returns when the start is recorded and under way. */
int submit_job(struct job *job, struct error *err);

/* A job that could not be started, by no fault of its own, is started again. */
int submit_again(struct job *job, struct error *err);

enum { SUBMIT_RERUNS = 1 };

/* What a job's policy says now: it may be written while the job lives. */
struct policy {
	enum cloud_market market; /* of its machines */
	int64_t kept;             /* snapshots */
	int64_t interval_s;       /* so old may its last snapshot be before another is taken; 0: none is */
	int64_t reruns;           /* how often it may be started again from its beginning, its host lost */
};

/* -EINVAL with a sentence; the policy is what stands where it says nothing, then. */
int submit_read_policy(struct job *job, struct policy *policy, struct error *err);
