/* `start`: a draft's settings are checked, all of them, and become the job's record. */
#pragma once

#include "fs/job.h"

/* Refuses with a sentence for each wrong setting; returns when the start is recorded and under way. */
int submit_job(struct job *job, struct error *err);

/* Which market the job's policy asks for now: it may be written while the job lives. -EINVAL with a sentence. */
int submit_read_market(struct job *job, enum cloud_market *market, struct error *err);
/* The same: how many snapshots are kept. */
int submit_read_kept(struct job *job, int64_t *kept, struct error *err);
