/* cancel: ask the job to end. end: it has ended (or its host is gone); give its host back. */
#include <errno.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/follow.h"
#include "fs/op_host.h"
#include "fs/settings.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"

enum { GRACE_MS = 10000, STOP_TIMEOUT_MS = 10000, RELEASE_TIMEOUT_MS = 30000, WAIT_STEP_MS = 1000 };

static int stop(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *body = json_object_new_object();
	json_set_int(body, "grace_ms", GRACE_MS);
	events_write(job, "Ready to cancel: SIGTERM, and SIGKILL after %d s", GRACE_MS / 1000);
	int status = agents_call(job->fs, record.host, record.address, record.id, "stop", body, record.epoch,
				 NULL, STOP_TIMEOUT_MS, NULL, err);
	/* An agent that does not answer is dealt with by the next step. */
	if (status < 0)
		log_info("job %s: %s", record.id, err->text);
	return 0;
}

/* The follower notes the end when the last byte of output is here. */
static int await_exit(struct job *job, struct error *err)
{
	(void)err;
	int64_t deadline = clock_monotonic_ms() + GRACE_MS + STOP_TIMEOUT_MS;
	job_lock(job);
	while (!job->record.exit_known && !job->record.lost && clock_monotonic_ms() < deadline)
		if (!fs_wait_locked(job->fs, WAIT_STEP_MS))
			break;
	bool ended = job->record.exit_known || job->record.lost || job->fs->stopping;
	if (!ended) {
		job->record.lost = 1;
		record_set(job->record.reason, "its agent did not say that the cancelled job ended");
	}
	job_unlock(job);
	return 0;
}

static const char *cancelled(struct job *job)
{
	(void)job;
	return "Cancelling"; /* op_settle goes on with the end */
}

static const struct op_step cancel_steps[] = {
	{ .name = "stop", .run = stop, .final = true },
	{ .name = "await", .run = await_exit, .final = true },
};

const struct op_table op_cancel = {
	.name = "cancel",
	.steps = cancel_steps,
	.count = array_length(cancel_steps),
	.finish = cancelled,
	.fail = cancelled,
};

void op_cancel_suspended_locked(struct job *job)
{
	job->record.lost = 1;
	record_set(job->record.reason, "cancelled while it was suspended");
}

const char *op_suspended(struct job *job)
{
	job_lock(job);
	bool cancelled = job->record.cancel;
	if (cancelled)
		op_cancel_suspended_locked(job);
	job_unlock(job);
	return cancelled ? "Cancelling" : "Suspended";
}

static int release(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	follow_stop(job);
	if (!record.host[0] || record.lost)
		return 0;
	autojson json_object *body = json_object_new_object();
	/* So that its file systems are unmounted in order; a host that does not answer is destroyed all the
	 * same. */
	if (agents_call(job->fs, record.host, record.address, record.id, "release", body, record.epoch, NULL,
			RELEASE_TIMEOUT_MS, NULL, err) < 0)
		log_info("job %s: %s", record.id, err->text);
	return 0;
}

static const char *finish_end(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	const char *status = "Completed";
	if (record.cancel)
		status = "Cancelled";
	else if (record.lost || record.exit_signal || record.exit_code)
		status = "FailToComplete";
	char reason[sizeof(record.reason)] = "";
	if (record.lost)
		record_set(reason, record.reason);
	else if (record.exit_signal)
		snprintf(
		    reason, sizeof(reason), "killed by signal %lld (%s)%s", (long long)record.exit_signal,
		    sigdescr_np((int)record.exit_signal) ? sigdescr_np((int)record.exit_signal) : "unknown",
		    record.exit_note);
	else if (record.exit_code)
		snprintf(reason, sizeof(reason), "exit code %lld%s", (long long)record.exit_code,
			 record.exit_note);
	/* What it will be resumed on, unless another is written. */
	struct error err = { 0 };
	if (record.snapshot_count > 0 && settings_write_value(job, "instance", record.instance, &err) < 0)
		log_error("job %s: %s", record.id, err.text);
	events_write(job, "Job ended: %s%s%s", status, reason[0] ? ", " : "", reason);
	if (record.lost && record.snapshot_count > 0)
		events_write(job, "Its last snapshot is %lld: resume it to go on from there",
			     (long long)record.snapshots[record.snapshot_count - 1].number);
	job_lock(job);
	record_set(job->record.reason, reason);
	if (!job->record.end_ns)
		job->record.end_ns = clock_now_ns();
	job_unlock(job);
	return status;
}

static const struct op_step end_steps[] = {
	{ .name = "release", .run = release, .final = true },
	{ .name = "reclaim", .run = op_host_reclaim, .final = true },
};

const struct op_table op_end = {
	.name = "end",
	.steps = end_steps,
	.count = array_length(end_steps),
	.finish = finish_end,
	.fail = finish_end,
};
