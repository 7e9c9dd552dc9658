#include "fs/restart.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proc.h"

#define RESTARTED "FLOATFS_RESTARTED"

int restart_prepare(struct restart *restart, char **words, struct error *err)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (length < 0)
		return error_sys(err, errno, "cannot read /proc/self/exe");
	path[length] = '\0';
	*restart = (struct restart){ .program = strdup(path),
				     .directory = getcwd(NULL, 0),
				     .network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC),
				     .words = words,
				     .is_one = getenv(RESTARTED) };
	unsetenv(RESTARTED);
	if (restart->network < 0)
		return error_sys(err, errno, "cannot open /proc/self/ns/net");
	return restart->program ? 0 : error_set(err, ENOMEM, "out of memory");
}

int restart_execute(const struct restart *restart, struct error *err)
{
	if (restart->directory && chdir(restart->directory) < 0)
		return error_sys(err, errno, "cannot change to %s", restart->directory);
	if (setns(restart->network, CLONE_NEWNET) < 0)
		return error_sys(err, errno, "cannot go back to the machine's network");
	proc_restore_files();
	setenv(RESTARTED, "1", 1);
	execv(restart->program, restart->words);
	return error_sys(err, errno, "cannot run %s", restart->program);
}

void restart_free(struct restart *restart)
{
	if (restart->network >= 0)
		close(restart->network);
	free(restart->program);
	free(restart->directory);
}
