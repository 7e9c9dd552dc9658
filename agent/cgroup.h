/*
 * The job's cgroup: the child `job` of the host's own, in each hierarchy mounted at /sys/fs/cgroup (v2, or
 * v1's controllers one by one). It tells what the job uses, and has limits of its own (cgroup_limits.h).
 * Paths only: any thread.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "lib/error.h"

enum { CGROUP_HIERARCHIES_MAX = 24 };

/* Make it in every hierarchy, with its limits; there already is success. */
int cgroup_make(struct error *err);
/* Remove what is empty. */
void cgroup_remove(void);

/* Its directory in the hierarchy of a v1 controller, or of v2 ("unified"); NULL: there is none. Caller frees.
 */
char *cgroup_place(const char *controller);

/*
 * Descriptors of its cgroup.procs files, close-on-exec, so that a child can move itself ("0") with write(2)
 * alone. Returns their number, or -errno.
 */
int cgroup_open(int fds[CGROUP_HIERARCHIES_MAX], struct error *err);
void cgroup_close(const int *fds, int count);

/* Calls it for each of its processes (0: one that this pid namespace does not see); returns how many there are. */
typedef void cgroup_process(pid_t pid, void *context);
int cgroup_each_process(cgroup_process *call, void *context);

/* SIGKILL to everything in it; returns the number of processes it met. */
int cgroup_kill(void);

/* Anonymous and shared memory of its processes, without file cache; 0 when nothing runs. */
int64_t cgroup_memory(void);
