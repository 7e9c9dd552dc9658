/* suspend, checkpoint and resume: what the writes check before the operations begin. */
#include <errno.h>
#include <string.h>

#include "fs/controls.h"
#include "fs/files.h"
#include "fs/op.h"
#include "fs/op_host.h"
#include "fs/settings.h"
#include "fs/snapshots.h"
#include "fs/spec.h"
#include "fs/submit.h"
#include "lib/cleanup.h"

static bool has_status(struct job *job, const char *status)
{
	job_lock(job);
	bool has = !strcmp(job->record.status, status);
	job_unlock(job);
	return has;
}

/* Somebody else may have been first: with the same that is as good as ours. */
static int begin(struct job *job, const struct op_table *table, const struct record_op *op, const char *from,
		 const char *status, struct error *err)
{
	int result = has_status(job, from)
			 ? op_begin(job, table, op, status, err)
			 : error_set(err, EBUSY, "job %s: another operation is under way", job->record.id);
	return result == -EBUSY && has_status(job, status) ? 0 : result;
}

int controls_suspend(struct job *job, const struct caller *caller, const char *argument, struct error *err)
{
	struct record record;
	struct record_op op = { 0 };
	(void)caller;
	(void)argument;
	job_snapshot(job, &record);
	const struct cloud_type *type = cloud_find_type(job->fs->ops, job->fs->cloud, record.instance);
	if (!type)
		return error_set(err, EINVAL, "there is no instance type %s any more", record.instance);
	op_host_plan(&op, type->name, CLOUD_SPOT);
	record_set(op.market, record.market);
	return begin(job, &op_suspend, &op, "Executing", "Suspending", err);
}

/* What `instance` says: where it ran, unless that was written anew. */
static int choose_type(struct job *job, const struct cloud_type **type, struct error *err)
{
	autofree char *text = NULL;
	struct spec_target target;
	int status = settings_read_value(job, "instance", &text, err);
	if (status == 0)
		status = spec_parse_target(text, &target, err);
	if (status == 0)
		status = spec_resolve_target(&target, job->fs->ops, job->fs->cloud, type, err);
	return status < 0 ? error_prefix(err, "instance: ") : 0;
}

int controls_checkpoint(struct job *job, const struct caller *caller, const char *argument, struct error *err)
{
	struct record record;
	struct record_op op = { 0 };
	struct policy policy;
	(void)caller;
	(void)argument;
	int status = submit_read_policy(job, &policy, err);
	if (status < 0)
		return status;
	job_lock(job);
	op.snapshot = ++job->record.last_snapshot;
	record = job->record;
	job_unlock(job);
	if (record.snapshot_count == RECORD_SNAPSHOTS)
		return error_set(err, EDQUOT, "job %s has %d snapshots already: let policy keep fewer",
				 record.id, RECORD_SNAPSHOTS);
	const struct cloud_type *type = cloud_find_type(job->fs->ops, job->fs->cloud, record.instance);
	if (!type)
		return error_set(err, EINVAL, "there is no instance type %s any more", record.instance);
	op_host_plan(&op, type->name, CLOUD_SPOT);
	return begin(job, &op_checkpoint, &op, "Executing", "Capturing", err);
}

/* A job that has ended goes on: what reads its files is sent away, and its volumes are free. */
static int begin_to_go_back(struct job *job, struct record_op *op, struct error *err)
{
	struct record before;
	int status = files_shut(job, err);
	job_lock(job);
	before = job->record;
	job->record.cancel = 0;
	job_unlock(job);
	record_set(op->ended, before.status);
	if (status == 0)
		status = begin(job, &op_resume, op, before.status, "Resuming", err);
	if (status < 0) {
		job_lock(job);
		job->record.cancel = before.cancel;
		job->files.shut = false;
		job_unlock(job);
	}
	return status;
}

static int resume(struct job *job, const char *snap, struct error *err)
{
	struct record record;
	struct record_op op = { 0 };
	const struct cloud_type *type;
	struct policy policy;
	job_snapshot(job, &record);
	op.snapshot = snapshots_parse(snap);
	const struct record_snapshot *snapshot = snapshots_find(&record, op.snapshot);
	if (*snap && !snapshot)
		return error_set(err, ENOENT,
				 "there is no snapshot %.20s of job %s: see the directory snapshots", snap,
				 record.id);
	int status = choose_type(job, &type, err);
	if (status == 0)
		status = submit_read_policy(job, &policy, err);
	if (status == 0)
		status = controls_check_room(type, record.memory_bytes, err);
	if (status < 0)
		return status;
	op_host_plan(&op, type->name, policy.market);
	record_set(op.process_volume, snapshot ? snapshot->volume : record.process_volume);
	return job_has_ended(&record) ? begin_to_go_back(job, &op, err)
				      : begin(job, &op_resume, &op, "Suspended", "Resuming", err);
}

int controls_resume(struct job *job, const struct caller *caller, const char *argument, struct error *err)
{
	(void)caller;
	/* What is checked is what it is resumed on. */
	pthread_mutex_lock(&job->settings_lock);
	int status = resume(job, argument, err);
	pthread_mutex_unlock(&job->settings_lock);
	return status;
}
