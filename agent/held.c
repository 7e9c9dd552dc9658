#include "agent/held.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "lib/cleanup.h"
#include "lib/file.h"

enum { STATUS_LIMIT = 65536 };

void held_each_of(pid_t pid, held_each *each, void *context)
{
	autofree char *path = format_string("/proc/%d/fd", (int)pid);
	autoclosedir DIR *list = opendir(path);
	for (struct dirent *entry; list && (entry = readdir(list));) {
		char link[64];
		ssize_t length = readlinkat(dirfd(list), entry->d_name, link, sizeof(link) - 1);
		if (length < 0)
			continue;
		link[length] = '\0';
		struct held held = { pid, (int)strtol(entry->d_name, NULL, 10), link };
		each(&held, context);
	}
}

struct walk {
	held_each *each;
	void *context;
};

static void walk_process(pid_t pid, void *context)
{
	const struct walk *walk = context;
	held_each_of(pid, walk->each, walk->context);
}

void held_each_of_job(held_each *each, void *context)
{
	struct walk walk = { each, context };
	cgroup_each_process(walk_process, &walk);
}

int held_take(pid_t pid, int fd)
{
	autoclose int process = (int)syscall(SYS_pidfd_open, pid, 0);
	int taken = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, fd, 0);
	return taken < 0 ? -errno : taken;
}

pid_t held_own_pid(pid_t pid)
{
	autofree char *path = format_string("/proc/%d/status", (int)pid), *text = NULL;
	const char *ids = file_read(path, STATUS_LIMIT, &text, NULL) < 0 ? NULL : strstr(text, "\nNSpid:");
	if (!ids)
		return 0;
	/* One for each namespace that it is seen in; its own is the last. */
	char *end;
	long own = 0;
	for (const char *at = ids + strlen("\nNSpid:"); *at != '\n'; at = end) {
		long next = strtol(at, &end, 10);
		if (end == at)
			break;
		own = next;
	}
	return (pid_t)own;
}
