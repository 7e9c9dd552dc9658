/*
 * The container: a job's first process in namespaces of its own, with the overlay as its root and the
 * layout's binds in it. The keeper calls this; it lives in the job's network namespace already, so that criu
 * finds none of the job's own to carry.
 *
 * The job's script is itself the container's first process (PID 1): nothing of ours is in the tree that criu
 * carries, so no program of a host's version travels with a job. What PID 1 does not have, the keeper makes
 * up for: a signal sent from outside that the first process neither handles nor ignores would be dropped by
 * the kernel; container_signal then does what the signal's default action is. Orphans are the first process's
 * to reap; shells do.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "agent/layout.h"

/* Start it. The volumes and the root are mounted. The sentence tells why a script cannot be executed. */
int container_start(const struct layout *layout, pid_t *pid, struct error *err);

/*
 * Send a signal to the first process as if it were an ordinary one: where the kernel would drop it for PID 1
 * and its default is to end the process, everything in the container is killed and *ended_by is set to it.
 */
int container_signal(pid_t pid, int signal, int *ended_by);

/* In a child that will become criu: move to the job's cgroup and make that the root of its cgroup namespace.
 */
int container_enter_cgroup(const int *fds, int count);
