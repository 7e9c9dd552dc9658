#include "fs/fuse_through.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/log.h"

enum { PROBES = 64 };

/* As linux/fuse.h has them since 6.9. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

struct fuse_through {
	struct holder_page *page;
	int device;
	pthread_mutex_t lock; /* guards the page's opens, and what follows */
	bool possible;
};

struct fuse_through *fuse_through_new(struct holder_page *page, int device, bool offered)
{
	struct fuse_through *through = calloc(1, sizeof(*through));
	if (!through)
		abort();
	*through = (struct fuse_through){ .page = page, .device = device, .possible = offered };
	pthread_mutex_init(&through->lock, NULL);
	return through;
}

void fuse_through_free(struct fuse_through *through)
{
	if (!through)
		return;
	pthread_mutex_destroy(&through->lock);
	free(through);
}

/* add: where there is none yet. NULL: there is none, or no place for it. */
static struct holder_open *find_locked(struct fuse_through *through, uint64_t node, bool add)
{
	struct holder_open *vacant = NULL;
	uint64_t place = node * 0x9e3779b97f4a7c15;
	for (uint64_t i = 0; i < PROBES; i++) {
		struct holder_open *open = &through->page->opens[((place >> 32) + i) % HOLDER_OPENS];
		bool used = open->plain || open->passed;
		if (used && open->node == node)
			return open;
		if (!used && !vacant)
			vacant = open;
	}
	if (!add || !vacant)
		return NULL;
	*vacant = (struct holder_open){ .node = node };
	return vacant;
}

/* 0: it cannot be. */
static uint32_t make_backing_locked(struct fuse_through *through, int content)
{
	struct backing_map map = { .fd = content };
	int id = ioctl(through->device, BACKING_OPEN, &map);
	if (id > 0)
		return (uint32_t)id;
	/* No right to it, or what is below does not allow it: a file system that is itself laid over another. */
	through->possible = false;
	log_debug("files that no longer change are read through floatfs: %s", strerror(errno));
	return 0;
}

uint32_t fuse_through_open(struct fuse_through *through, uint64_t node, int content)
{
	uint32_t backing = 0;
	pthread_mutex_lock(&through->lock);
	struct holder_open *open = find_locked(through, node, true);
	if (!open) {
		/* It is not counted: its release must not count for another. */
		through->page->opens_missed = 1;
	} else if (open->passed) {
		open->passed++;
		backing = open->backing;
	} else {
		if (content >= 0 && !open->plain && through->possible && !through->page->opens_missed)
			backing = make_backing_locked(through, content);
		open->backing = backing;
		open->passed = backing != 0;
		open->plain += backing == 0;
	}
	pthread_mutex_unlock(&through->lock);
	return backing;
}

void fuse_through_release(struct fuse_through *through, uint64_t node, bool passed)
{
	pthread_mutex_lock(&through->lock);
	struct holder_open *open = find_locked(through, node, false);
	if (open && passed && open->passed && --open->passed == 0)
		(void)ioctl(through->device, BACKING_CLOSE, &open->backing);
	else if (open && !passed && open->plain)
		open->plain--;
	pthread_mutex_unlock(&through->lock);
}
