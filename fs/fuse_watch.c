#include "fs/fuse_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

struct fuse_watch {
	const char *mountpoint;
	int mounts_fd; /* /proc/self/mountinfo: POLLPRI when it changed (proc(5)) */
	int stop_fd;
	pthread_t thread;
};

bool fuse_watch_is_mounted(const char *mountpoint)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	/* What cannot be read says nothing. */
	if (!table)
		return true;
	struct libmnt_fs *found = mnt_table_find_target(table, mountpoint, MNT_ITER_BACKWARD);
	const char *type = found ? mnt_fs_get_fstype(found) : NULL;
	bool mounted = type && !strcmp(type, "fuse.floatfs");
	mnt_unref_table(table);
	return mounted;
}

static void *watch_run(void *context)
{
	struct fuse_watch *watch = context;
	for (;;) {
		struct pollfd waiting[] = { { .fd = watch->mounts_fd, .events = POLLPRI },
					    { .fd = watch->stop_fd, .events = POLLIN } };
		if (poll(waiting, array_length(waiting), -1) < 0 && errno != EINTR)
			return NULL;
		if (waiting[1].revents)
			return NULL;
		if (!fuse_watch_is_mounted(watch->mountpoint)) {
			log_info("%s was unmounted", watch->mountpoint);
			kill(getpid(), SIGTERM);
			return NULL;
		}
	}
}

int fuse_watch_start(const char *mountpoint, struct fuse_watch **out, struct error *err)
{
	struct fuse_watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return error_set(err, ENOMEM, "out of memory");
	watch->mountpoint = mountpoint;
	watch->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	watch->stop_fd = eventfd(0, EFD_CLOEXEC);
	int status = watch->mounts_fd < 0 || watch->stop_fd < 0 ? errno : 0;
	/* SIGTERM is for the main thread: it ends FUSE's loop there. */
	sigset_t all;
	pthread_attr_t attributes;
	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setsigmask_np(&attributes, &all);
	if (status == 0)
		status = pthread_create(&watch->thread, &attributes, watch_run, watch);
	pthread_attr_destroy(&attributes);
	if (status) {
		cleanup_close_(&watch->mounts_fd);
		cleanup_close_(&watch->stop_fd);
		free(watch);
		return error_sys(err, status, "cannot watch the mounts");
	}
	*out = watch;
	return 0;
}

void fuse_watch_stop(struct fuse_watch *watch)
{
	uint64_t one = 1;
	if (!watch)
		return;
	if (write(watch->stop_fd, &one, sizeof(one)) != sizeof(one))
		log_error("the watch of the mounts cannot be stopped");
	pthread_join(watch->thread, NULL);
	close(watch->mounts_fd);
	close(watch->stop_fd);
	free(watch);
}
