#include "fs/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/job.h"

struct poll_entry {
	const void *key;
	uint64_t serial;
	enum change change;
	uint64_t seen;
	struct fuse_pollhandle *pollhandle;
	struct poll_entry *next;
};

struct parked {
	fuse_req_t request;
	uint64_t serial;
	size_t size; /* of the read: never answered with more */
	off_t offset;
	struct parked *next;
};

struct notify {
	struct floatfs *fs;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* guards what follows; taken after fs->lock, never before it */
	pthread_cond_t wakeup;
	uint64_t wakes;
	bool stopping;
	struct poll_entry *polls;
	struct parked *parked;
};

void notify_exit_text(const struct record *record, char text[16])
{
	text[0] = '\0';
	if (!job_has_ended(record))
		return;
	/* A shell says 128 and the signal's number of what a signal ended. */
	int64_t code = record->exit_signal ? 128 + record->exit_signal : record->exit_code;
	if (!record->exit_known)
		code = 255;
	snprintf(text, 16, "%lld\n", (long long)code);
}

/* Whether the poll's file differs from what its handle last read; a job that is gone has changed. */
static bool poll_due(struct floatfs *fs, const struct poll_entry *entry)
{
	autojob struct job *job = job_find_serial(fs, entry->serial);
	if (!job)
		return true;
	job_lock(job);
	bool due = job->changes[entry->change] != entry->seen;
	job_unlock(job);
	return due;
}

/* A copy of the nth poll; false past the last. fs->lock comes before notify->lock, so no look under both. */
static bool copy_poll(struct notify *notify, size_t n, struct poll_entry *copy)
{
	pthread_mutex_lock(&notify->lock);
	struct poll_entry *entry = notify->polls;
	for (size_t i = 0; entry && i < n; i++)
		entry = entry->next;
	if (entry)
		*copy = *entry;
	pthread_mutex_unlock(&notify->lock);
	return entry != NULL;
}

/* Take it off the list: whoever takes it destroys it. */
static struct poll_entry *take_poll(struct notify *notify, const void *key)
{
	pthread_mutex_lock(&notify->lock);
	struct poll_entry **at = &notify->polls;
	while (*at && (*at)->key != key)
		at = &(*at)->next;
	struct poll_entry *found = *at;
	if (found)
		*at = found->next;
	pthread_mutex_unlock(&notify->lock);
	return found;
}

static void wake_polls(struct notify *notify)
{
	struct poll_entry copy;
	for (size_t i = 0; copy_poll(notify, i, &copy);) {
		if (!poll_due(notify->fs, &copy)) {
			i++;
			continue;
		}
		struct poll_entry *entry = take_poll(notify, copy.key);
		if (!entry)
			continue;
		fuse_lowlevel_notify_poll(entry->pollhandle);
		fuse_pollhandle_destroy(entry->pollhandle);
		free(entry);
	}
}

static bool parked_answer(struct floatfs *fs, const struct parked *parked, char text[16])
{
	autojob struct job *job = job_find_serial(fs, parked->serial);
	struct record record;
	text[0] = '\0';
	if (!job)
		return true;
	job_snapshot(job, &record);
	notify_exit_text(&record, text);
	return text[0] != '\0';
}

/* Take the request off the list; false when somebody else has: whoever takes it answers it. */
static bool unlist(struct notify *notify, fuse_req_t request)
{
	struct parked *found = NULL;
	pthread_mutex_lock(&notify->lock);
	for (struct parked **at = &notify->parked; *at; at = &(*at)->next) {
		if ((*at)->request == request) {
			found = *at;
			*at = found->next;
			break;
		}
	}
	pthread_mutex_unlock(&notify->lock);
	free(found);
	return found != NULL;
}

/* As copy_poll. */
static bool copy_parked(struct notify *notify, size_t n, struct parked *copy)
{
	pthread_mutex_lock(&notify->lock);
	struct parked *entry = notify->parked;
	for (size_t i = 0; entry && i < n; i++)
		entry = entry->next;
	if (entry)
		*copy = *entry;
	pthread_mutex_unlock(&notify->lock);
	return entry != NULL;
}

static void answer(const struct parked *parked, const char *text)
{
	size_t length = strlen(text),
	       offset = parked->offset < (off_t)length ? (size_t)parked->offset : length;
	length -= offset;
	fuse_reply_buf(parked->request, text + offset, length < parked->size ? length : parked->size);
}

static void wake_parked(struct notify *notify)
{
	struct parked parked;
	for (size_t i = 0; copy_parked(notify, i, &parked);) {
		char text[16];
		if (!parked_answer(notify->fs, &parked, text))
			i++;
		else if (unlist(notify, parked.request))
			answer(&parked, text);
	}
}

static void *notify_run(void *context)
{
	struct notify *notify = context;
	uint64_t seen = 0;
	for (;;) {
		pthread_mutex_lock(&notify->lock);
		while (!notify->stopping && notify->wakes == seen)
			pthread_cond_wait(&notify->wakeup, &notify->lock);
		seen = notify->wakes;
		bool stopping = notify->stopping;
		pthread_mutex_unlock(&notify->lock);
		if (stopping)
			return NULL;
		wake_polls(notify);
		wake_parked(notify);
	}
}

struct notify *notify_new(struct floatfs *fs)
{
	struct notify *notify = calloc(1, sizeof(*notify));
	if (!notify)
		abort();
	notify->fs = fs;
	pthread_mutex_init(&notify->lock, NULL);
	pthread_cond_init(&notify->wakeup, NULL);
	return notify;
}

int notify_start(struct notify *notify, struct error *err)
{
	int status = pthread_create(&notify->thread, NULL, notify_run, notify);
	if (status)
		return error_sys(err, status, "cannot start a thread");
	notify->started = true;
	return 0;
}

void notify_stop(struct notify *notify)
{
	pthread_mutex_lock(&notify->lock);
	notify->stopping = true;
	pthread_cond_signal(&notify->wakeup);
	pthread_mutex_unlock(&notify->lock);
	if (notify->started)
		pthread_join(notify->thread, NULL);
	notify->started = false;
	while (notify->polls) {
		struct poll_entry *entry = notify->polls;
		notify->polls = entry->next;
		fuse_pollhandle_destroy(entry->pollhandle);
		free(entry);
	}
	struct parked parked;
	while (copy_parked(notify, 0, &parked))
		if (unlist(notify, parked.request))
			fuse_reply_err(parked.request, ENOTCONN);
}

void notify_free(struct notify *notify)
{
	pthread_mutex_destroy(&notify->lock);
	pthread_cond_destroy(&notify->wakeup);
	free(notify);
}

void notify_wake(struct notify *notify)
{
	pthread_mutex_lock(&notify->lock);
	notify->wakes++;
	pthread_cond_signal(&notify->wakeup);
	pthread_mutex_unlock(&notify->lock);
}

void notify_drop_poll(struct notify *notify, const void *key)
{
	struct poll_entry *found = take_poll(notify, key);
	if (found) {
		fuse_pollhandle_destroy(found->pollhandle);
		free(found);
	}
}

void notify_add_poll(struct notify *notify, const void *key, uint64_t serial, enum change change,
		     uint64_t seen, struct fuse_pollhandle *pollhandle)
{
	notify_drop_poll(notify, key);
	struct poll_entry *entry = calloc(1, sizeof(*entry));
	if (!entry)
		abort();
	*entry = (struct poll_entry){ key, serial, change, seen, pollhandle, NULL };
	pthread_mutex_lock(&notify->lock);
	entry->next = notify->polls;
	notify->polls = entry;
	pthread_mutex_unlock(&notify->lock);
	/* It may have changed since the caller looked. */
	notify_wake(notify);
}

/* Knows the request by its address only: an answer that is on its way may have freed the entry. */
static void interrupted(fuse_req_t request, void *context)
{
	if (unlist(context, request))
		fuse_reply_err(request, EINTR);
}

void notify_park(struct notify *notify, fuse_req_t request, uint64_t serial, size_t size, off_t offset)
{
	struct parked *parked = calloc(1, sizeof(*parked));
	if (!parked)
		abort();
	fuse_req_interrupt_func(request, interrupted, notify);
	pthread_mutex_lock(&notify->lock);
	/* An interrupt from here on waits for the lock, and finds it listed. */
	bool refuse = fuse_req_interrupted(request) || notify->stopping;
	if (!refuse) {
		*parked = (struct parked){ request, serial, size, offset, notify->parked };
		notify->parked = parked;
	}
	pthread_mutex_unlock(&notify->lock);
	if (refuse) {
		fuse_reply_err(request, EINTR);
		free(parked);
		return;
	}
	notify_wake(notify);
}
