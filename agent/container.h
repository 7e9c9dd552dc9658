/*
 * The container: a job's first process in namespaces of its own, with the overlay as its root and the
 * layout's binds in it. The keeper calls this; it lives in the job's network namespace already, so that criu
 * finds none of the job's own to carry.
 *
 * Its first process is init (init/init.c), copied onto the work volume when the job starts, so that the same
 * file is found wherever criu restores it; the script is init's first child, and an ordinary process.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "agent/layout.h"

/* Start it. The volumes and the root are mounted. The sentence tells why a script cannot be executed. */
int container_start(const struct layout *layout, pid_t *pid, struct error *err);

/* Send a signal to the script; one that has just ended is success. */
int container_signal(pid_t init, int signal);

/* SIGTERM to the script's process group, which is woken if it is stopped. */
void container_stop(pid_t init);

struct container_end {
	int code;         /* the script's exit code, */
	int signal;       /* or what killed it or the container; 0: nothing */
	bool init_killed; /* the first process itself */
};

/* Has the container ended (or is no child of ours)? */
bool container_peek(pid_t init, struct container_end *end);
/* The same, and then it is reaped. */
bool container_reap(pid_t init, struct container_end *end);

/* In a child that will become criu: move to the job's cgroup and make that the root of its cgroup namespace.
 */
int container_enter_cgroup(const int *fds, int count);
