#include "agent/spent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"

#define SPENT_FILE "process/image/spent"

int spent_note(const struct layout *layout, struct error *err)
{
	autofree char *path = layout_path(layout, SPENT_FILE);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return error_set(err, EOWNERDEAD,
				 "the job has gone on from its process image before: go back to a snapshot");
	/* On btrfs that makes the name of a new file durable too. */
	return fd < 0 || fsync(fd) < 0 ? error_sys(err, errno, "cannot write %s", path) : 0;
}

void spent_withdraw(const struct layout *layout)
{
	autofree char *path = layout_path(layout, SPENT_FILE);
	if (unlink(path) < 0)
		log_warning("cannot remove %s: %s", path, strerror(errno));
}
