#include "fs/keep.h"

#include <errno.h>

#include "fs/job.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"

enum { LOOK_MAX_MS = 60000, LOOK_MIN_MS = 500 };

static bool is_due(const struct record *record, int64_t before_ns)
{
	return job_has_ended(record) && record->end_ns && record->end_ns < before_ns;
}

/* The first job from the nth on that is due; NULL: none. */
static struct job *next_due(struct floatfs *fs, size_t *n, int64_t before_ns)
{
	struct job *found = NULL;
	pthread_mutex_lock(&fs->lock);
	for (; *n < fs->job_count && !found; ++*n)
		if (is_due(&fs->jobs[*n]->record, before_ns))
			found = job_get_locked(fs->jobs[*n]);
	pthread_mutex_unlock(&fs->lock);
	return found;
}

static void forget_due(struct floatfs *fs)
{
	int64_t before_ns = clock_now_ns() - fs->options.keep_seconds * 1000000000;
	for (size_t n = 0; fs_wait(fs, 0);) {
		autojob struct job *job = next_due(fs, &n, before_ns);
		struct error err = { 0 };
		if (!job)
			return;
		int status = job_forget(fs, job->record.id, &err);
		if (status == 0)
			n--;
		else if (status != -EBUSY && status != -ENOENT)
			log_error("%s", err.text);
	}
}

static void keep_run(struct floatfs *fs, void *context)
{
	(void)context;
	int64_t pause = fs->options.keep_seconds * 1000 / 10;
	pause = pause > LOOK_MAX_MS ? LOOK_MAX_MS : pause < LOOK_MIN_MS ? LOOK_MIN_MS : pause;
	do
		forget_due(fs);
	while (fs_wait(fs, (int)pause));
}

int keep_start(struct floatfs *fs, struct error *err)
{
	return fs->options.keep_seconds ? fs_spawn(fs, keep_run, NULL, err) : 0;
}
