/* resume: a suspended job goes on, on a new host. */
#include <errno.h>

#include "fs/events.h"
#include "fs/follow.h"
#include "fs/op_frozen.h"
#include "fs/op_host.h"
#include "lib/cleanup.h"
#include "lib/json.h"

/* A move that failed on both sides left the job on a host that could not take it up. */
static int leave_host(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	op_release(job, record.host, record.address);
	return op_host_reclaim(job, err);
}

static int plan(struct job *job, struct error *err)
{
	return op_host_announce(job, "resume", err);
}

static int prepare(struct job *job, struct error *err)
{
	struct record record;
	json_object *spec = NULL;
	job_snapshot(job, &record);
	int status = op_host_attach(job, err);
	if (status == 0)
		status = op_host_spec(job, record.op.process_volume, &spec, err);
	if (status < 0)
		return status;
	autojson json_object *body = json_object_new_object();
	json_object_object_add(body, "spec", spec);
	return op_call_patiently(job, record.op.host, record.op.address, "prepare", body, NULL, err);
}

/* The volumes are free for another host. */
static void undo_prepare(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	op_release(job, record.op.host, record.op.address);
	op_host_detach(job);
}

/* Asked again it waits for what is at work there, and a job that is there is success. */
static int adopt(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *body = json_object_new_object(), *answer = NULL;
	json_set_string(body, "process", record.op.process_volume);
	json_object_object_add(body, "faults", faults_take_agents(job->fs->faults, op_resume.name));
	events_write(job, "Got 1 containers on host %s", record.op.host);
	events_write(job, "Ready to recover &{%s false true} on host %s", record.container, record.op.host);
	int status = op_call_patiently(job, record.op.host, record.op.address, "adopt", body, &answer, err);
	if (status < 0)
		return status;
	job_lock(job);
	job->record.op.thaw_ns = json_get_int(answer, "thaw_ns", 0);
	job_unlock(job);
	return 0;
}

static bool adopt_done(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *state = op_ask(job, record.op.host, record.op.address);
	return op_runs_there(state);
}

/* The new host is the job's; its image is nobody's any more. */
static int commit(struct job *job, struct error *err)
{
	(void)err;
	job_lock(job);
	struct record *record = &job->record;
	if (!record->op.committed) {
		record_set(record->host, record->op.host);
		record_set(record->address, record->op.address);
		record_set(record->instance, record->op.type);
		record_set(record->market, record->op.market);
		record->host_serial = record->op.host_serial;
		record->host_since_ns = record->op.host_since_ns;
		record->op.host[0] = '\0';
		record->process_volume[0] = '\0';
		record->op.committed = 1;
	}
	job_changed_locked(job, CHANGE_STATE);
	job_unlock(job);
	return 0;
}

static int report(struct job *job, struct error *err)
{
	struct record record;
	(void)err;
	job_snapshot(job, &record);
	follow_restart(job);
	events_write_at(job, record.op.thaw_ns, "Resumed on new VM: %s", record.host);
	return 0;
}

static int drop(struct job *job, struct error *err)
{
	(void)err;
	op_process_volume_drop(job);
	return 0;
}

static const char *finish(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	return record.cancel ? "Cancelling" : "Executing";
}

static const char *fail(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	events_write(job, "Resume on instance type %s failed: %s; the job is suspended as before",
		     record.op.type, record.op.reason);
	job_lock(job);
	record_set(job->record.reason, record.op.reason);
	job_unlock(job);
	return op_suspended(job);
}

static const struct op_step steps[] = {
	{ .name = "leave", .run = leave_host },
	{ .name = "plan", .run = plan },
	{ .name = "host", .run = op_host_create_to_recover, .undo = op_host_undo },
	{ .name = "prepare", .run = prepare, .undo = undo_prepare },
	{ .name = "grant", .run = op_grant },
	{ .name = "adopt", .run = adopt, .done = adopt_done, .frozen = true },
	{ .name = "commit", .run = commit, .final = true },
	{ .name = "report", .run = report, .final = true },
	{ .name = "drop", .run = drop, .final = true },
};

const struct op_table op_resume = {
	.name = "resume",
	.steps = steps,
	.count = array_length(steps),
	.cancellable = true,
	.finish = finish,
	.fail = fail,
};
