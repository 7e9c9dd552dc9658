/*
 * Preloaded into criu's restore. When everything is restored, and before the tasks run, criu writes the pidfile
 * (write_restored_pid): right before that the image is noted as spent (agent/spent.h). If that cannot be, nor can the pidfile, and
 * criu takes the restore back. criu calls libc's open(), which is open64() where it was built for large files, and finds these.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/spent.h"

static int libc_open(const char *path, int flags, mode_t mode)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static bool note(const char *path)
{
	int fd = libc_open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	/* On btrfs that makes the name of a new file durable too. */
	int code = fsync(fd) < 0 ? errno : 0;
	close(fd);
	if (code == 0)
		return true;
	unlink(path);
	errno = code;
	return false;
}

static int open_for_criu(const char *path, int flags, mode_t mode)
{
	const char *pidfile = getenv(SPENT_PIDFILE), *spent = getenv(SPENT_NOTE);
	bool last = pidfile && spent && !strcmp(path, pidfile);
	return last && !note(spent) ? -1 : libc_open(path, flags, mode);
}

static mode_t mode_of(int flags, va_list list)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define DEFINE_OPEN(name)                                                                                    \
	int name(const char *path, int flags, ...)                                                           \
	{                                                                                                    \
		va_list list;                                                                                \
		va_start(list, flags);                                                                       \
		mode_t mode = mode_of(flags, list);                                                          \
		va_end(list);                                                                                \
		return open_for_criu(path, flags, mode);                                                     \
	}

DEFINE_OPEN(open)
DEFINE_OPEN(open64)
