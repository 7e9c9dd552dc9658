/* resume: a suspended job goes on, on a new host. recover: so does one whose host was lost, from its last snapshot. */
#include <errno.h>
#include <string.h>

#include "fs/events.h"
#include "fs/faults.h"
#include "fs/follow.h"
#include "fs/op_frozen.h"
#include "fs/op_host.h"
#include "fs/op_recover.h"
#include "fs/op_spec.h"
#include "fs/snapshots.h"
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
	struct record record;
	job_snapshot(job, &record);
	if (record.op.snapshot)
		events_write(job, "Ready to go back to snapshot %lld", (long long)record.op.snapshot);
	return op_host_announce(job, record.op.name, err);
}

static int prepare(struct job *job, struct error *err)
{
	struct record record;
	json_object *spec = NULL;
	job_snapshot(job, &record);
	int status = op_host_attach(job, err);
	if (status == 0)
		status = op_spec(job, record.op.process_volume, &spec, err);
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

/* Its volumes are about to become what they were then: whoever goes on from here must know. */
static int note_going_back(struct job *job, struct error *err)
{
	job_lock(job);
	bool back = job->record.op.snapshot != 0;
	if (back)
		job->record.going_back = job->record.op.snapshot;
	job_unlock(job);
	return back ? job_save(job, err) : 0;
}

/* What `adopt` is to make of the volumes. */
static void describe_volumes(const struct record *record, json_object *body)
{
	if (record->op.snapshot) {
		autofree char *name = snapshots_name(record->op.snapshot);
		json_set_string(body, "snapshot", name);
	} else if (record->going_back) {
		json_set_bool(body, "undo_snapshot", true);
	}
	json_object_object_add(body, "keep", snapshots_names(record));
}

/* Asked again it waits for what is at work there, and a job that is there is success. */
static int adopt(struct job *job, struct error *err)
{
	struct record record;
	int status = note_going_back(job, err);
	if (status < 0)
		return status;
	job_snapshot(job, &record);
	autojson json_object *body = json_object_new_object(), *answer = NULL;
	json_set_string(body, "process", record.op.process_volume);
	describe_volumes(&record, body);
	json_object_object_add(body, "faults", faults_take_agents(job->fs->faults, record.op.name));
	events_write(job, "Got 1 containers on host %s", record.op.host);
	events_write(job, "Ready to recover &{%s false true} on host %s", record.container, record.op.host);
	status = op_call_patiently(job, record.op.host, record.op.address, "adopt", body, &answer, err);
	if (status == -EOWNERDEAD)
		follow_note_gone(
		    job, record.op.host,
		    "cannot take the job up where it was suspended: it had gone on from there, and was lost");
	/* The agent says so: then it has put the volumes right again. */
	bool undone = status < 0 && !strcmp(json_get_string(answer, "job", ""), "dumped");
	job_lock(job);
	if (undone)
		job->record.going_back = 0;
	if (status == 0)
		job->record.op.thaw_ns = json_get_int(answer, "thaw_ns", 0);
	job_unlock(job);
	return status;
}

static bool adopt_done(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *state = op_ask(job, record.op.host, record.op.address);
	return op_runs_there(state);
}

/*
 * The new host is the job's; its image is nobody's any more. A snapshot's stays, and the one that it was suspended with
 * is of another time.
 */
static int commit(struct job *job, struct error *err)
{
	struct record before;
	(void)err;
	job_snapshot(job, &before);
	if (before.op.snapshot && !before.op.committed)
		snapshots_cut_logs(job, before.op.snapshot);
	job_lock(job);
	struct record *record = &job->record;
	if (!record->op.committed) {
		if (record->op.snapshot) {
			job_revive_locked(job);
			record_set(record->op.process_volume, before.process_volume);
		}
		record->going_back = 0;
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
	job_lock(job);
	job->files.shut = false;
	job_unlock(job);
	if (record.op.snapshot)
		events_write_at(job, record.op.thaw_ns, "%s on new VM: %s, as it was at snapshot %lld",
				strcmp(record.op.name, op_recover.name) ? "Resumed" : "Recovered",
				record.host, (long long)record.op.snapshot);
	else
		events_write_at(job, record.op.thaw_ns, "Resumed on new VM: %s", record.host);
	return 0;
}

static int drop(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	if (!snapshots_find(&record, record.op.snapshot) || record.op.process_volume[0])
		op_process_volume_drop(job);
	if (record.op.snapshot)
		snapshots_tidy(job);
	return snapshots_detach(job, err);
}

/* Recovered it can be. */
static const char *fail_for_good(struct job *job)
{
	job_lock(job);
	job->record.process_volume[0] = '\0';
	job_unlock(job);
	op_process_volume_drop(job);
	return "Resuming";
}

static const char *fail(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	/* One that has ended may have been lost before. */
	if (record.lost && !record.op.ended[0] && !record.op.snapshot)
		return fail_for_good(job);
	events_write(job, "Resume on instance type %s failed: %s; the job %s as before", record.op.type,
		     record.op.reason, record.op.ended[0] ? "has ended" : "is suspended");
	job_lock(job);
	record_set(job->record.reason, record.op.reason);
	if (record.op.ended[0])
		job->files.shut = false;
	job_unlock(job);
	return record.op.ended[0] ? job_status_of_end(record.op.ended) : op_suspended(job);
}

static const struct op_step steps[] = {
	{ .name = "leave", .run = leave_host },
	{ .name = "plan", .run = plan },
	{ .name = "host", .run = op_host_create_to_recover, .undo = op_host_undo },
	{ .name = "up", .run = op_host_await },
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
	.revives = true,
	.finish = op_goes_on,
	.fail = fail,
};

static const struct op_step recover_steps[] = {
	{ .name = "fence", .run = op_recover_fence },
	{ .name = "plan", .run = plan },
	{ .name = "host", .run = op_host_create_to_recover, .undo = op_host_undo },
	{ .name = "up", .run = op_host_await },
	{ .name = "prepare", .run = prepare, .undo = undo_prepare },
	{ .name = "grant", .run = op_grant },
	{ .name = "adopt", .run = adopt, .done = adopt_done, .frozen = true },
	{ .name = "commit", .run = commit, .final = true },
	{ .name = "report", .run = report, .final = true },
	{ .name = "drop", .run = drop, .final = true },
};

const struct op_table op_recover = {
	.name = "recover",
	.steps = recover_steps,
	.count = array_length(recover_steps),
	.cancellable = true,
	.finish = op_goes_on,
	.fail = op_recover_failed,
};
