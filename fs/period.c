#include "fs/period.h"

#include <errno.h>
#include <string.h>

#include "fs/controls.h"
#include "fs/job.h"
#include "fs/submit.h"
#include "lib/clock.h"
#include "lib/log.h"

enum { LOOK_MS = 1000 };

/* So far may a host's clock be ahead of ours. */
#define SKEW_NS 60000000000LL

/* The nth job with a host; NULL: there are not so many. */
static struct job *nth_hosted(struct floatfs *fs, size_t n)
{
	pthread_mutex_lock(&fs->lock);
	struct job *job = n < fs->hosted_count ? job_get_locked(fs->hosted[n]) : NULL;
	pthread_mutex_unlock(&fs->lock);
	return job;
}

/* Since it was what it can be made again. The clock may have been set back meanwhile: nobody knows then. */
static bool is_due(struct job *job, const struct record *record, int64_t interval_ns)
{
	int64_t count = record->snapshot_count;
	int64_t age = clock_now_ns() - (count ? record->snapshots[count - 1].taken_ns : record->start_ns);
	bool tried = job->period_tried_ns && clock_monotonic_ns() - job->period_tried_ns < interval_ns;
	return !tried && (age < -SKEW_NS || age >= interval_ns);
}

static void take_if_due(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	struct policy policy;
	job_snapshot(job, &record);
	if (strcmp(record.status, "Executing") || record.op.name[0] ||
	    submit_read_policy(job, &policy, &err) < 0 || policy.interval_s == 0 ||
	    !is_due(job, &record, policy.interval_s * 1000000000))
		return;
	job->period_tried_ns = clock_monotonic_ns();
	int status = controls_checkpoint(job, &(struct caller){ 0 }, "", &err);
	if (status < 0 && status != -EBUSY)
		log_warning("job %s: no snapshot is taken: %s", record.id, err.text);
}

static void period_run(struct floatfs *fs, void *context)
{
	(void)context;
	while (fs_wait(fs, LOOK_MS)) {
		struct job *job;
		for (size_t n = 0; (job = nth_hosted(fs, n)); n++) {
			take_if_due(job);
			job_put(job);
		}
	}
}

int period_start(struct floatfs *fs, struct error *err)
{
	return fs_spawn(fs, period_run, NULL, err);
}
