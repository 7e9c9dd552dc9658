#include "fs/fs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/notify.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"

/* So many serials are set aside by one durable write. */
enum { SERIAL_BATCH = 64 };

uint64_t fs_new_serial(struct floatfs *fs, struct error *err)
{
	uint64_t serial;
	pthread_mutex_lock(&fs->serial_lock);
	pthread_mutex_lock(&fs->lock);
	serial = ++fs->last_serial;
	pthread_mutex_unlock(&fs->lock);
	int status = 0;
	if (serial > fs->serial_reserved) {
		autofree char *path = format_string("%s/serial", fs->options.state);
		autofree char *text = format_string("%llu\n", (unsigned long long)serial + SERIAL_BATCH);
		status = file_write_durable(path, text, strlen(text), 0600);
		if (status == 0)
			fs->serial_reserved = serial + SERIAL_BATCH;
		else
			error_sys(err, -status, "cannot write %s", path);
	}
	pthread_mutex_unlock(&fs->serial_lock);
	return status < 0 ? 0 : serial;
}

struct worker {
	struct floatfs *fs;
	void (*run)(struct floatfs *fs, void *context);
	void *context;
};

static void *worker_run(void *context)
{
	struct worker *worker = context;
	struct floatfs *fs = worker->fs;
	worker->run(fs, worker->context);
	free(worker);
	pthread_mutex_lock(&fs->lock);
	fs->workers--;
	pthread_cond_broadcast(&fs->wakeup);
	pthread_mutex_unlock(&fs->lock);
	return NULL;
}

int fs_spawn(struct floatfs *fs, void (*run)(struct floatfs *fs, void *context), void *context,
	     struct error *err)
{
	struct worker *worker = malloc(sizeof(*worker));
	if (!worker)
		return error_set(err, ENOMEM, "out of memory");
	*worker = (struct worker){ fs, run, context };
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_mutex_lock(&fs->lock);
	fs->workers++;
	pthread_mutex_unlock(&fs->lock);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int status = pthread_create(&thread, &attributes, worker_run, worker);
	pthread_attr_destroy(&attributes);
	if (status) {
		free(worker);
		pthread_mutex_lock(&fs->lock);
		fs->workers--;
		pthread_mutex_unlock(&fs->lock);
		return error_sys(err, status, "cannot start a thread");
	}
	return 0;
}

bool fs_wait_locked(struct floatfs *fs, int ms)
{
	struct timespec until = clock_monotonic_in(ms);
	if (!fs->stopping)
		pthread_cond_clockwait(&fs->wakeup, &fs->lock, CLOCK_MONOTONIC, &until);
	return !fs->stopping;
}

bool fs_wait(struct floatfs *fs, int ms)
{
	pthread_mutex_lock(&fs->lock);
	bool go_on = fs_wait_locked(fs, ms);
	pthread_mutex_unlock(&fs->lock);
	return go_on;
}
