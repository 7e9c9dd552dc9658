/*
 * The job's cgroup: the child `job` of the host's own, in each hierarchy mounted at /sys/fs/cgroup (v2, or
 * v1's controllers one by one). The limits are the host's; the child tells what the job uses. Paths only: any
 * thread.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "lib/error.h"

enum { CGROUP_HIERARCHIES_MAX = 24 };

/* Make it in every hierarchy; there already is success. */
int cgroup_make(struct error *err);
/* Remove what is empty. */
void cgroup_remove(void);

/*
 * Descriptors of its cgroup.procs files, close-on-exec, so that a child can move itself ("0") with write(2)
 * alone. Returns their number, or -errno.
 */
int cgroup_open(int fds[CGROUP_HIERARCHIES_MAX], struct error *err);
void cgroup_close(const int *fds, int count);

/* SIGKILL to everything in it; returns the number of processes it met. */
int cgroup_kill(void);

/* Anonymous and shared memory of its processes, without file cache; 0 when nothing runs. */
int64_t cgroup_memory(void);
