#include "fs/op_recover.h"

#include <errno.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/follow.h"
#include "fs/op_frozen.h"
#include "fs/op_host.h"
#include "fs/submit.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
	TRIES = 5,
	TRIES_A_SNAPSHOT = 2, /* then the one before it is taken, if there is one */
	DESTROY_PAUSE_MS = 10000,
	ASK_TIMEOUT_MS = 10000,
};

bool op_may_rerun(struct job *job, const struct record *record)
{
	struct error err = { 0 };
	struct policy policy;
	if (submit_read_policy(job, &policy, &err) < 0)
		log_info("job %s: %s", record->id, err.text);
	return record->reruns < policy.reruns;
}

bool op_recover_possible(struct job *job, const struct record *record)
{
	return record->failed_recoveries < TRIES && (record->snapshot_count > 0 || op_may_rerun(job, record));
}

/* The newest, but for those that it could not be recovered from. */
static const struct record_snapshot *choose_snapshot(const struct record *record)
{
	int64_t older = record->failed_recoveries / TRIES_A_SNAPSHOT, last = record->snapshot_count - 1;
	return last < 0 ? NULL : &record->snapshots[older < last ? last - older : 0];
}

int op_recover_begin(struct job *job, struct error *err)
{
	struct record record;
	struct record_op op = { 0 };
	job_snapshot(job, &record);
	const struct cloud_type *type = cloud_find_type(job->fs->ops, job->fs->cloud, record.instance);
	const struct record_snapshot *snapshot = choose_snapshot(&record);
	if (!type)
		return error_set(err, EINVAL, "there is no instance type %s any more", record.instance);
	op_host_plan(&op, type->name, CLOUD_SPOT);
	record_set(op.market, record.market);
	if (!snapshot)
		return op_begin(job, &op_rerun, &op, "Initializing", err);
	op.snapshot = snapshot->number;
	record_set(op.process_volume, snapshot->volume);
	return op_begin(job, &op_recover, &op, "Resuming", err);
}

/* It did not answer for long: it may do so now. */
static bool has_it_still(struct job *job, const struct record *record)
{
	if (!op_host_exists(job->fs, record->host))
		return false;
	autojson json_object *state = NULL;
	struct error err = { 0 };
	if (agents_call(job->fs, record->host, record->address, record->id, "", NULL, -1, NULL,
			ASK_TIMEOUT_MS, &state, &err) < 0)
		log_info("job %s: %s", record->id, err.text);
	return op_runs_there(state) && !json_get_bool(json_get_object(state, "exit"), "lost", false);
}

int op_recover_fence(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	op_pause(job, record.failed_recoveries);
	follow_stop(job);
	if (!record.host[0])
		return 0;
	if (has_it_still(job, &record))
		return error_set(err, EEXIST, "host %s answers again", record.host);
	while (op_host_reclaim(job, err) < 0) {
		log_error("host %s of job %s cannot be destroyed: %s", record.host, record.id, err->text);
		if (!fs_wait(job->fs, DESTROY_PAUSE_MS))
			return -err->code;
	}
	return 0;
}

const char *op_recover_failed(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	if (record.cancel)
		return "Cancelling"; /* op_settle goes on with the end */
	if (record.host[0])
		events_write(job, "Host %s answers again: the job goes on there", record.host);
	else
		events_write(job, "Recovery failed: %s", record.op.reason);
	job_lock(job);
	if (record.host[0])
		job_revive_locked(job);
	else
		job->record.failed_recoveries++;
	job_unlock(job);
	return record.host[0] ? op_goes_on(job) : record.snapshot_count > 0 ? "Resuming" : "Initializing";
}
