#include "agent/pids.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

/* The kernel shows and sets that of the namespace of whom it asks, whatever /proc it is. */
#define LAST_PID "/proc/sys/kernel/ns_last_pid"

enum {
	GIVEN_SINCE = 1000,
	FIRST = 300, /* the kernel's own first after the last: RESERVED_PIDS */
};

/*
 * In a process within the namespace, which setns(2) gives to children only. The caller may have threads: system calls only.
 * text is written, or else what is read goes to out.
 */
static int act_within(pid_t pid, const char *text, size_t length, int out)
{
	char path[64], buffer[32];
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	autoclose int namespace = open(path, O_RDONLY | O_CLOEXEC);
	autoclose int file = open(LAST_PID, (text ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
	if (namespace < 0 || file < 0)
		return -errno;
	pid_t child = fork();
	if (child == 0) {
		if (setns(namespace, CLONE_NEWPID) < 0)
			_exit(errno);
		pid_t grandchild = fork();
		if (grandchild == 0) {
			ssize_t done = text ? write(file, text, length) : read(file, buffer, sizeof(buffer));
			if (done > 0 && !text)
				done = write(out, buffer, (size_t)done);
			_exit(done > 0 ? 0 : errno ? errno : EIO);
		}
		int status;
		if (grandchild < 0 || waitpid(grandchild, &status, 0) < 0)
			_exit(errno);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EIO);
	}
	int status;
	if (child < 0)
		return -errno;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int pids_last(pid_t pid)
{
	int ends[2];
	char text[32] = "";
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	autoclose int in = ends[0], out = ends[1];
	int status = act_within(pid, NULL, 0, out);
	if (status < 0)
		return status;
	return read(in, text, sizeof(text) - 1) > 0 ? (int)strtol(text, NULL, 10) : -EIO;
}

int pids_go_on(pid_t pid, int last)
{
	autofree char *text = format_string("%d", last + GIVEN_SINCE), *first = format_string("%d", FIRST);
	int status = act_within(pid, text, strlen(text), -1);
	/* There are no more behind it. */
	return status == -EINVAL ? act_within(pid, first, strlen(first), -1) : status;
}
