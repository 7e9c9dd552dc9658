#include "fs/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/job.h"
#include "lib/cleanup.h"

enum { BUCKETS = 1024, CHANGES_MAX = 4096 };

/* Linked in the bucket of what it waits for. */
struct waiter {
	struct waiter *next;
	uint64_t number; /* of its own: addresses are used again */
	uint64_t subject;
	/* A poll. */
	const void *key;
	struct node node;
	uint64_t seen;
	struct fuse_pollhandle *pollhandle;
	/* Or a parked read. */
	fuse_req_t request;
	size_t size; /* never answered with more */
	off_t offset;
};

struct notify {
	struct floatfs *fs;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* guards what follows; taken after fs->lock, never before it */
	pthread_cond_t wakeup;
	bool stopping;
	uint64_t last_number;
	struct waiter *waiters[BUCKETS];
	/* Subjects that changed and were not yet looked at; too many: all may have. */
	uint64_t changes[CHANGES_MAX];
	size_t change_count;
	bool all_changed;
};

/* What is waited for: a job by its serial, the feed by its user. */
static uint64_t subject_of(const struct node *node)
{
	return node->kind == TREE_FEED ? 1ULL << 63 | node->generation : node->serial;
}

static struct waiter **bucket_of(struct notify *notify, uint64_t subject)
{
	return &notify->waiters[subject % BUCKETS];
}

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

/* ---- the lists ---- */

static void add(struct notify *notify, const struct waiter *waiter)
{
	struct waiter *entry = malloc(sizeof(*entry));
	if (!entry)
		abort();
	*entry = *waiter;
	entry->number = ++notify->last_number;
	struct waiter **bucket = bucket_of(notify, entry->subject);
	entry->next = *bucket;
	*bucket = entry;
}

/* Take the first that matches off its list: whoever takes it answers it. NULL: somebody else has. */
static struct waiter *take(struct waiter **bucket, bool (*matches)(const struct waiter *, const void *),
			   const void *what)
{
	struct waiter **at = bucket;
	while (*at && !matches(*at, what))
		at = &(*at)->next;
	struct waiter *found = *at;
	if (found)
		*at = found->next;
	return found;
}

static bool has_number(const struct waiter *waiter, const void *number)
{
	return waiter->number == *(const uint64_t *)number;
}

static bool has_key(const struct waiter *waiter, const void *key)
{
	return waiter->key == key;
}

static bool has_request(const struct waiter *waiter, const void *request)
{
	return waiter->request && waiter->request == request;
}

/* ---- the thread ---- */

/* What a parked read is answered with; false: it waits on. */
static bool has_answer(struct floatfs *fs, const struct waiter *waiter, char text[16])
{
	autojob struct job *job = job_find_serial(fs, waiter->subject);
	struct record record;
	text[0] = '\0';
	if (!job)
		return true;
	job_snapshot(job, &record);
	notify_exit_text(&record, text);
	return text[0] != '\0';
}

static void answer(const struct waiter *waiter, const char *text)
{
	size_t length = strlen(text),
	       offset = waiter->offset < (off_t)length ? (size_t)waiter->offset : length;
	length -= offset;
	fuse_reply_buf(waiter->request, text + offset, length < waiter->size ? length : waiter->size);
}

static void wake_if_due(struct notify *notify, const struct waiter *copy)
{
	char text[16];
	bool due = copy->request ? has_answer(notify->fs, copy, text)
				 : tree_change(notify->fs, &copy->node) != copy->seen;
	if (!due)
		return;
	pthread_mutex_lock(&notify->lock);
	struct waiter *waiter = take(bucket_of(notify, copy->subject), has_number, &copy->number);
	pthread_mutex_unlock(&notify->lock);
	if (!waiter)
		return;
	if (waiter->request) {
		answer(waiter, text);
	} else {
		fuse_lowlevel_notify_poll(waiter->pollhandle);
		fuse_pollhandle_destroy(waiter->pollhandle);
	}
	free(waiter);
}

/* fs->lock comes before notify->lock: they are looked at by copies. */
static void look_at_bucket(struct notify *notify, size_t bucket, const uint64_t *subject)
{
	size_t count = 0;
	pthread_mutex_lock(&notify->lock);
	for (struct waiter *waiter = notify->waiters[bucket]; waiter; waiter = waiter->next)
		count++;
	autofree struct waiter *copies = calloc(count + 1, sizeof(*copies));
	if (!copies)
		abort();
	count = 0;
	for (struct waiter *waiter = notify->waiters[bucket]; waiter; waiter = waiter->next)
		if (!subject || waiter->subject == *subject)
			copies[count++] = *waiter;
	pthread_mutex_unlock(&notify->lock);
	for (size_t i = 0; i < count; i++)
		wake_if_due(notify, &copies[i]);
}

/* What changed since the last time, once each; false when it is time to end. */
static bool take_changes(struct notify *notify, uint64_t changes[CHANGES_MAX], size_t *count, bool *all)
{
	pthread_mutex_lock(&notify->lock);
	while (!notify->stopping && notify->change_count == 0 && !notify->all_changed)
		pthread_cond_wait(&notify->wakeup, &notify->lock);
	memcpy(changes, notify->changes, notify->change_count * sizeof(*changes));
	*count = notify->change_count;
	*all = notify->all_changed;
	notify->change_count = 0;
	notify->all_changed = false;
	bool go_on = !notify->stopping;
	pthread_mutex_unlock(&notify->lock);
	return go_on;
}

static void *notify_run(void *context)
{
	struct notify *notify = context;
	uint64_t changes[CHANGES_MAX];
	size_t count;
	bool all;
	while (take_changes(notify, changes, &count, &all)) {
		for (size_t i = 0; i < count && !all; i++)
			look_at_bucket(notify, changes[i] % BUCKETS, &changes[i]);
		for (size_t i = 0; i < BUCKETS && all; i++)
			look_at_bucket(notify, i, NULL);
	}
	return NULL;
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

static bool is_any(const struct waiter *waiter, const void *nothing)
{
	(void)waiter;
	return nothing == NULL;
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
	for (size_t i = 0; i < BUCKETS; i++)
		for (;;) {
			pthread_mutex_lock(&notify->lock);
			struct waiter *waiter = take(&notify->waiters[i], is_any, NULL);
			pthread_mutex_unlock(&notify->lock);
			if (!waiter)
				break;
			if (waiter->request && notify->fs->leaving)
				fuse_reply_none(waiter->request);
			else if (waiter->request)
				fuse_reply_err(waiter->request, ENOTCONN);
			else
				fuse_pollhandle_destroy(waiter->pollhandle);
			free(waiter);
		}
}

void notify_free(struct notify *notify)
{
	pthread_mutex_destroy(&notify->lock);
	pthread_cond_destroy(&notify->wakeup);
	free(notify);
}

/* ---- for everybody else ---- */

static void note_change_locked(struct notify *notify, uint64_t subject)
{
	/* A job that writes a lot changes again and again before it is looked at. */
	if (notify->change_count > 0 && notify->changes[notify->change_count - 1] == subject)
		return;
	if (notify->change_count < CHANGES_MAX)
		notify->changes[notify->change_count++] = subject;
	else
		notify->all_changed = true;
	pthread_cond_signal(&notify->wakeup);
}

void notify_changed(struct notify *notify, const struct node *node)
{
	pthread_mutex_lock(&notify->lock);
	note_change_locked(notify, subject_of(node));
	pthread_mutex_unlock(&notify->lock);
}

void notify_drop_poll(struct notify *notify, const struct node *node, const void *key)
{
	pthread_mutex_lock(&notify->lock);
	struct waiter *found = take(bucket_of(notify, subject_of(node)), has_key, key);
	pthread_mutex_unlock(&notify->lock);
	if (found) {
		fuse_pollhandle_destroy(found->pollhandle);
		free(found);
	}
}

void notify_add_poll(struct notify *notify, const struct node *node, const void *key, uint64_t seen,
		     struct fuse_pollhandle *pollhandle)
{
	notify_drop_poll(notify, node, key);
	struct waiter waiter = {
		.subject = subject_of(node), .key = key, .node = *node, .seen = seen, .pollhandle = pollhandle
	};
	pthread_mutex_lock(&notify->lock);
	add(notify, &waiter);
	/* It may have changed since the caller looked. */
	note_change_locked(notify, waiter.subject);
	pthread_mutex_unlock(&notify->lock);
}

/* Knows the request by its address only: an answer that is on its way may have freed the waiter. */
static void interrupted(fuse_req_t request, void *context)
{
	struct notify *notify = context;
	struct waiter *found = NULL;
	pthread_mutex_lock(&notify->lock);
	for (size_t i = 0; i < BUCKETS && !found; i++)
		found = take(&notify->waiters[i], has_request, request);
	pthread_mutex_unlock(&notify->lock);
	if (found)
		fuse_reply_err(request, EINTR);
	free(found);
}

void notify_park(struct notify *notify, fuse_req_t request, uint64_t serial, size_t size, off_t offset)
{
	struct waiter waiter = { .subject = serial, .request = request, .size = size, .offset = offset };
	fuse_req_interrupt_func(request, interrupted, notify);
	pthread_mutex_lock(&notify->lock);
	/* An interrupt from here on waits for the lock, and finds it listed. */
	bool refuse = fuse_req_interrupted(request) || notify->stopping;
	if (!refuse) {
		add(notify, &waiter);
		note_change_locked(notify, serial);
	}
	pthread_mutex_unlock(&notify->lock);
	if (refuse)
		fuse_reply_err(request, EINTR);
}
