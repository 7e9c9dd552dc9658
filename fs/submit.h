/* `start`: a draft's settings are checked, all of them, and become the job's record. */
#pragma once

#include "fs/job.h"

/* Refuses with a sentence for each wrong setting; returns when the start is recorded and under way. */
int submit_job(struct job *job, struct error *err);
