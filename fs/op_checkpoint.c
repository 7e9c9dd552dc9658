/* checkpoint: the running job goes on, and what it was at one instant is kept. */
#include "fs/events.h"
#include "fs/faults.h"
#include "fs/follow.h"
#include "fs/op_frozen.h"
#include "fs/op_host.h"
#include "fs/snapshots.h"
#include "fs/submit.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/log.h"

static int plan(struct job *job, struct error *err)
{
	(void)err;
	events_write(job, "Ready to take a snapshot");
	return 0;
}

/* Asked again it waits for what is at work there, and a snapshot that is there is success. */
static int freeze(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	autofree char *name = snapshots_name(record.op.snapshot);
	autojson json_object *body = json_object_new_object(), *answer = NULL;
	json_set_string(body, "snapshot", name);
	json_set_string(body, "process", record.op.process_volume);
	json_set_int(body, "deadline_ms", OP_DEADMAN_MS);
	json_object_object_add(body, "keep", snapshots_names(&record));
	json_object_object_add(body, "faults", faults_take_agents(job->fs->faults, op_checkpoint.name));
	int status = op_call_patiently(job, record.host, record.address, "checkpoint", body, &answer, err);
	if (status == 0)
		status = snapshots_save_logs(job, record.op.snapshot, json_get_array(answer, "logs"), err);
	if (status < 0)
		return status;
	/* An agent that was killed in between does not know how long it took. */
	if (json_get_int(answer, "freeze_ns", 0))
		op_note_freeze(job, answer, answer, 0);
	job_lock(job);
	job->record.op.taken_ns = json_get_int(answer, "taken_ns", 0);
	job->record.op.bytes = json_get_int(answer, "image_bytes", 0);
	job_unlock(job);
	return 0;
}

/* Its process image is the snapshot's from here on, not the operation's. */
static int commit(struct job *job, struct error *err)
{
	(void)err;
	job_lock(job);
	struct record *record = &job->record;
	if (!record->op.committed && record->snapshot_count < RECORD_SNAPSHOTS) {
		struct record_snapshot *snapshot = &record->snapshots[record->snapshot_count++];
		*snapshot = (struct record_snapshot){
			.number = record->op.snapshot,
			.taken_ns = record->op.taken_ns,
			.bytes = record->op.bytes,
		};
		record_set(snapshot->host, record->host);
		record_set(snapshot->instance, record->instance);
		record_set(snapshot->volume, record->op.process_volume);
		record->op.process_volume[0] = '\0';
		record->op.committed = 1;
	}
	job_changed_locked(job, CHANGE_STATE);
	job_unlock(job);
	return 0;
}

static int report(struct job *job, struct error *err)
{
	struct record record;
	char took[OP_FREEZE_TEXT];
	(void)err;
	job_snapshot(job, &record);
	follow_restart(job);
	if (record.op.freeze_ns)
		op_tell_dump(job, record.host);
	op_format_freeze(&record, record.op.thaw_ns - record.op.freeze_ns, took);
	events_write(job, "Snapshot %lld taken%s", (long long)record.op.snapshot, took);
	return 0;
}

static int trim(struct job *job, struct error *err)
{
	struct policy policy;
	if (submit_read_policy(job, &policy, err) < 0)
		log_info("job %s: %s", job->record.id, err->text);
	if (snapshots_trim(job, policy.kept) > 0)
		snapshots_tidy(job);
	return 0;
}

static const char *fail(struct job *job)
{
	return op_freeze_failed(job, "Snapshot");
}

static const struct op_step steps[] = {
	{ .name = "plan", .run = plan },
	{ .name = "volume", .run = op_process_volume_create, .undo = op_process_volume_undo },
	{ .name = "grant", .run = op_grant },
	{ .name = "freeze", .run = freeze, .undo = op_undo_freeze, .frozen = true },
	{ .name = "commit", .run = commit, .final = true },
	{ .name = "report", .run = report, .final = true },
	{ .name = "detach", .run = snapshots_detach, .final = true },
	{ .name = "trim", .run = trim, .final = true },
};

const struct op_table op_checkpoint = {
	.name = "checkpoint",
	.steps = steps,
	.count = array_length(steps),
	.finish = op_goes_on,
	.fail = fail,
};
