/*
 * A job whose host is gone: it goes on from its last snapshot on a new one (the table op_recover), or is started again from its
 * beginning where it has none and its policy allows it (op_rerun). Both begin with the end of the old host, so that there are
 * never two of the job, and are tried a few times.
 */
#pragma once

#include "fs/op.h"

/* Is there something to go back to? Else its end is due. record is as the job's is now. */
bool op_recover_possible(struct job *job, const struct record *record);
/* Does its policy let it be started again from its beginning? */
bool op_may_rerun(struct job *job, const struct record *record);
int op_recover_begin(struct job *job, struct error *err);

/* A step: the old host is gone for good. It fails when that turns out to have the job still. */
int op_recover_fence(struct job *job, struct error *err);
/* For fail. */
const char *op_recover_failed(struct job *job);
