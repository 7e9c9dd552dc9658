/*
 * Following a running job: one thread a job holds its agent's stream open (agent/API.md), keeps the mirror of
 * its logs, answers what the job asks on its own /float, and notes its end.
 */
#pragma once

#include "fs/job.h"

/* The job runs on its host: follow it, from where the mirror ends. Twice is success. */
void follow_start(struct job *job);
/* It runs on another host now, or again: connect anew at once. */
void follow_restart(struct job *job);
/* That host is gone, or what the words say of it: if the job ran there it is lost. False where it did not, or is known to be.
 * Then op_settle. */
bool follow_note_lost(struct job *job, const char *host, const char *words);
/* For operations: the job was there, and is lost. */
void follow_note_gone(struct job *job, const char *host, const char *words);
/*
 * The job stands as an image on its host: wait until all that it wrote is here. false when it does not come, or the
 * daemon is stopping.
 */
bool follow_drain(struct job *job);
/* No more of it: returns when nothing of it is written any more, or the daemon is stopping. For operations. */
void follow_stop(struct job *job);
