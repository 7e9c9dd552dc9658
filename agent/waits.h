/*
 * How long the job's threads have been in calls with a time limit (agent/calls.h): the kernel tells nobody how much is left, and
 * a call that is made again after a move (agent/mend.h) should take no longer for it. Looked at from time to time: a thread
 * that stands in the same call as before, and has not slept anew since, has been in it all the while. The time before the
 * first look is not known: such a call takes that much longer, at its first move only.
 *
 * One thread uses it, but for the one that waits_watch starts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/again.h"

struct dump_shared;
struct waits;

struct waits *waits_new(void);
void waits_free(struct waits *waits);

/* Look at all threads of the job's cgroup: often after a start or a restore, later less so. */
void waits_look(struct waits *waits);

/*
 * Before the dump, and after it: were they in their calls until they were stopped? A thread watches. pid is the job's first
 * process as the caller sees it, which criu stops before the others.
 */
void waits_watch(struct waits *waits, pid_t pid);
void waits_end_watch(struct waits *waits);

/* What a criu that runs meanwhile needs to know, and tells: a descriptor to be inherited, and the same; -1, NULL: there is none. */
int waits_shared_fd(const struct waits *waits);
const struct dump_shared *waits_shared(const struct waits *waits);

/* The call of that thread; NULL: none was seen. Lives until the next look. */
const struct wait *waits_find(const struct waits *waits, pid_t thread);
