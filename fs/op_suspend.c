/* suspend: the running job becomes an image on volumes of its own, and its host is given back. */
#include "fs/events.h"
#include "fs/faults.h"
#include "fs/follow.h"
#include "fs/op_frozen.h"
#include "fs/op_host.h"
#include "fs/settings.h"
#include "lib/cleanup.h"
#include "lib/json.h"

/* An earlier image that could not be given back then must not be taken for this one. */
static int drop_left_over(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	if (!record.process_volume[0])
		return 0;
	int status = job->fs->ops->volume_destroy(job->fs->cloud, record.process_volume, err);
	job_lock(job);
	if (status == 0)
		job->record.process_volume[0] = '\0';
	job_unlock(job);
	return status;
}

static int plan(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	events_write(job, "Ready to suspend");
	/* What it will need when it is resumed. */
	autojson json_object *state = op_ask(job, record.host, record.address);
	job_lock(job);
	job->record.memory_bytes = json_get_int(state, "memory_bytes", job->record.memory_bytes);
	job_unlock(job);
	return drop_left_over(job, err);
}

/* Asked again it waits for what is at work there, and a job that is an image already is success. */
static int freeze(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *body = json_object_new_object(), *answer = NULL;
	json_set_int(body, "deadline_ms", OP_DEADMAN_MS);
	json_set_string(body, "process", record.op.process_volume);
	json_object_object_add(body, "faults", faults_take_agents(job->fs->faults, op_suspend.name));
	int status = op_call_patiently(job, record.host, record.address, "dump", body, &answer, err);
	if (status == 0)
		op_note_freeze(job, answer, NULL, 0);
	return status;
}

/* All that it wrote is here before its host goes. */
static int await_logs(struct job *job, struct error *err)
{
	struct record record;
	(void)err;
	job_snapshot(job, &record);
	op_tell_dump(job, record.host);
	if (!follow_drain(job) && fs_wait(job->fs, 0))
		events_write(
		    job, "The last of its output could not be read: it stays on the job's volume until the "
			 "job is resumed");
	return 0;
}

/* The record names no host any more; op.host is the old one from here on. */
static int commit(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	follow_stop(job);
	int status = settings_write_value(job, "instance", record.instance, err);
	if (status < 0)
		return status;
	job_lock(job);
	if (!job->record.op.committed) {
		struct record_op *op = &job->record.op;
		job->record.cost_microusd +=
		    job_host_cost(job->fs, record.instance, record.market, record.host_since_ns);
		record_set(op->host, record.host);
		record_set(op->address, record.address);
		op->host_serial = record.host_serial;
		record_set(job->record.process_volume, op->process_volume);
		op->process_volume[0] = '\0';
		job->record.host[0] = '\0';
		op->committed = 1;
	}
	job_changed_locked(job, CHANGE_STATE);
	job_unlock(job);
	return 0;
}

static const char *finish(struct job *job)
{
	events_write(job, "Job suspended");
	return op_suspended(job);
}

static const char *fail(struct job *job)
{
	return op_freeze_failed(job, "Suspend");
}

static const struct op_step steps[] = {
	{ .name = "plan", .run = plan },
	{ .name = "volume", .run = op_process_volume_create, .undo = op_process_volume_undo },
	{ .name = "grant", .run = op_grant },
	{ .name = "freeze", .run = freeze, .undo = op_undo_freeze, .frozen = true },
	{ .name = "logs", .run = await_logs, .final = true },
	{ .name = "commit", .run = commit, .final = true },
	{ .name = "reclaim", .run = op_host_give_back, .final = true },
};

const struct op_table op_suspend = {
	.name = "suspend",
	.steps = steps,
	.count = array_length(steps),
	.finish = finish,
	.fail = fail,
};
