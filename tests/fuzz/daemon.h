/*
 * A floatfs without a mount or hosts, with the draft `one`, another user's `two`, and the first one's secret `key` in a state
 * directory of its own.
 */
#pragma once

#include "cloud/cloud.h"
#include "fs/feed.h"
#include "fs/images.h"
#include "fs/job.h"
#include "fs/notify.h"
#include "fs/secrets.h"
#include "fs/settings.h"
#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

static inline void daemon_set(struct job *job, const char *name, const char *text, size_t length)
{
	autofree char *path = settings_path(job, name);
	fuzz_write(path, text, length);
}

static inline struct job *daemon_draft(void)
{
	static struct floatfs fs = {
		.serial_lock = PTHREAD_MUTEX_INITIALIZER,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.wakeup = PTHREAD_COND_INITIALIZER,
	};
	static struct job *job;
	if (job)
		return job;
	struct error err = { 0 };
	fs.options.state = (char *)fuzz_scratch();
	fs.ops = cloud_find("local");
	fs.notify = notify_new(&fs);
	fuzz_check(feed_open(&fs, &err) == 0 && secrets_open(&fs, &err) == 0);
	fuzz_check(images_open(&fs, &err) == 0 && job_load_all(&fs, &err) == 0);
	fuzz_check(job_create_draft(&fs, "one", &(struct caller){ .uid = 0 }, &err) == 0);
	fuzz_check(job_create_draft(&fs, "two", &(struct caller){ .uid = 1000 }, &err) == 0);
	fuzz_check((job = job_find(&fs, "one")));
	fuzz_check(secrets_create(&fs, "key", &(struct caller){ .uid = 0 }, &err) == 0);
	/* All that a start wants, but for the image. */
	daemon_set(job, "script", "x", 1);
	daemon_set(job, "instance", "c5.large", 8);
	return job;
}
