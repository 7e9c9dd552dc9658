#include "cloud/local/kernel.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"

static const struct limit {
	const char *name; /* as sysctl(8) has it, with slashes */
	long long least;
	const char *what; /* that ends with it */
} limits[] = {
	{ "fs/inotify/max_user_instances", 8192,
	  "hosts that watch their jobs' logs, and jobs that use inotify" },
	{ "fs/inotify/max_user_watches", 524288, "directories of logs that are watched" },
	{ "kernel/pid_max", 4194304, "processes and threads of all hosts together" },
	/* Only the first network namespace has it; it counts for all. */
	{ "net/ipv4/neigh/default/gc_thresh3", 16384, "hosts that reach each other on their network" },
};

void kernel_raise_limits(void)
{
	for (size_t i = 0; i < array_length(limits); i++) {
		autofree char *path = format_string("/proc/sys/%s", limits[i].name), *text = NULL;
		if (file_read(path, 64, &text, NULL) < 0 || strtoll(text, NULL, 10) >= limits[i].least)
			continue;
		autofree char *wanted = format_string("%lld", limits[i].least);
		int status = file_write(path, wanted);
		if (status < 0)
			log_info("%s is %.*s and cannot be raised to %s: it limits the %s (%s)",
				 limits[i].name, (int)strcspn(text, "\n"), text, wanted, limits[i].what,
				 strerror(-status));
		else
			log_info("%s raised from %.*s to %s, for the %s", limits[i].name,
				 (int)strcspn(text, "\n"), text, wanted, limits[i].what);
	}
}
