/* The descriptors that the job's processes hold, as /proc shows them. Any thread. */
#pragma once

#include <sys/types.h>

struct held {
	pid_t pid; /* as the host knows it */
	int fd;
	const char *link; /* what /proc/PID/fd/FD points to, cut to 64 bytes */
};

typedef void held_each(const struct held *held, void *context);

/* Of one process, or of all of the job's. What is closed in between is left out. */
void held_each_of(pid_t pid, held_each *each, void *context);
void held_each_of_job(held_each *each, void *context);

/* The same open file as a descriptor of the caller's, close-on-exec, or -errno. */
int held_take(pid_t pid, int fd);

/* The process's id in its own pid namespace; 0: it is gone. */
pid_t held_own_pid(pid_t pid);
