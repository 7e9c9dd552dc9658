#include "fs/fuse_polls.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/log.h"

struct fuse_polls {
	struct holder_page *page;
	pthread_mutex_t lock; /* guards what follows */
	uint32_t *free;       /* places before the page's end that are free */
	size_t free_count, free_room;
};

struct fuse_polls *fuse_polls_new(struct holder_page *page)
{
	struct fuse_polls *polls = calloc(1, sizeof(*polls));
	if (!polls)
		abort();
	polls->page = page;
	pthread_mutex_init(&polls->lock, NULL);
	return polls;
}

void fuse_polls_free(struct fuse_polls *polls)
{
	pthread_mutex_destroy(&polls->lock);
	free(polls->free);
	free(polls);
}

/* Places count from 1. */
static uint32_t find_place_locked(struct fuse_polls *polls)
{
	uint64_t end = atomic_load(&polls->page->polls_end);
	if (polls->free_count)
		return polls->free[--polls->free_count];
	if (end == HOLDER_POLLS)
		return 0;
	/* First the end, then what stands before it: whoever takes over reads to the end. */
	atomic_store(&polls->page->polls_end, end + 1);
	return (uint32_t)end + 1;
}

uint32_t fuse_polls_add(struct fuse_polls *polls, uint64_t number)
{
	pthread_mutex_lock(&polls->lock);
	uint32_t place = find_place_locked(polls);
	if (place)
		atomic_store(&polls->page->polls[place - 1], number);
	pthread_mutex_unlock(&polls->lock);
	if (!place)
		log_info("%d open files are polled: more of them are not woken when floatfs starts anew",
			 HOLDER_POLLS);
	return place;
}

void fuse_polls_drop(struct fuse_polls *polls, uint32_t place)
{
	if (!place)
		return;
	pthread_mutex_lock(&polls->lock);
	atomic_store(&polls->page->polls[place - 1], 0);
	if (polls->free_count == polls->free_room) {
		size_t room = polls->free_room ? polls->free_room * 2 : 64;
		uint32_t *larger = realloc(polls->free, room * sizeof(*larger));
		if (!larger)
			abort();
		polls->free = larger;
		polls->free_room = room;
	}
	polls->free[polls->free_count++] = place;
	pthread_mutex_unlock(&polls->lock);
}

void fuse_polls_take(struct holder_page *page, void (*visit)(void *context, uint64_t number), void *context)
{
	uint64_t end = atomic_load(&page->polls_end);
	if (end > HOLDER_POLLS)
		end = HOLDER_POLLS;
	/* All are told before any is forgotten: a second telling does no harm. */
	for (uint64_t i = 0; i < end; i++)
		if (atomic_load(&page->polls[i]))
			visit(context, atomic_load(&page->polls[i]));
	for (uint64_t i = 0; i < end; i++)
		atomic_store(&page->polls[i], 0);
	atomic_store(&page->polls_end, 0);
}
