/* migrate: the running job goes to a new host (DESIGN section 5). */
#include <errno.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/faults.h"
#include "fs/follow.h"
#include "fs/op_frozen.h"
#include "fs/op_host.h"
#include "fs/op_spec.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum { AGENT_TIMEOUT_MS = 60000, DESTROY_PAUSE_MS = 30000 };

static int plan(struct job *job, struct error *err)
{
	return op_host_announce(job, "migrate", err);
}

/* The new host's part of the request, which may come twice. */
static int describe_target(struct job *job, json_object **body, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	json_object *spec = NULL;
	int status = op_spec(job, record.op.process_volume, &spec, err);
	if (status < 0)
		return status;
	*body = json_object_new_object();
	json_object_object_add(*body, "spec", spec);
	json_set_string(*body, "from", record.host);
	return 0;
}

static int prepare(struct job *job, struct error *err)
{
	struct record record;
	autojson json_object *body = NULL;
	job_snapshot(job, &record);
	int status = op_process_volume_create(job, err);
	if (status == 0)
		status = op_host_attach(job, err);
	if (status == 0)
		status = describe_target(job, &body, err);
	if (status < 0)
		return status;
	return agents_call(job->fs, record.op.host, record.op.address, record.id, "prepare", body,
			   record.epoch, NULL, AGENT_TIMEOUT_MS, NULL, err);
}

/* The clock of B against the clock of A. */
static int64_t clock_difference(struct job *job, const struct record *record)
{
	int64_t a = 0, b = 0;
	struct error err = { 0 };
	if (agents_clock_offset(job->fs, record->host, record->address, &a, &err) < 0 ||
	    agents_clock_offset(job->fs, record->op.host, record->op.address, &b, &err) < 0)
		log_info("job %s: clocks not compared: %s", record->id, err.text);
	return b - a;
}

/*
 * B must be known not to take the job later, before A may take it up: it is told of a higher epoch, by a request
 * that waits for what is at work there, or, when it does not answer, it is destroyed.
 */
static int fence(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	autojson json_object *body = NULL;
	job_lock(job);
	job->record.epoch++;
	job_unlock(job);
	if (!op_save(job))
		return -ECANCELED;
	job_snapshot(job, &record);
	int status = describe_target(job, &body, &err);
	if (status == 0)
		status =
		    op_call_patiently(job, record.op.host, record.op.address, "prepare", body, NULL, &err);
	if (status == 0)
		return 0;
	if (!fs_wait(job->fs, 0))
		return -ECANCELED;
	log_info("job %s: host %s is destroyed to fence it: %s", record.id, record.op.host, err.text);
	while (op_host_destroy(job, record.op.host, &err) < 0) {
		log_error("host %s of job %s cannot be destroyed: %s", record.op.host, record.id, err.text);
		if (!fs_wait(job->fs, DESTROY_PAUSE_MS))
			return -ECANCELED;
	}
	op_host_undo(job);
	return 0;
}

/*
 * The answer of A is lost, or says that the job did not get to B for all that A knows. Where is it? 0: on B. Else
 * status: it is on A, or nowhere, and B will not take it any more.
 */
static int find_frozen(struct job *job, int64_t offset_ns, int status)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *here = op_ask_patiently(job, record.host, record.address);
	/* A takes it up by itself as long as B was not asked to. */
	if (op_runs_there(here) || fence(job) < 0)
		return status;
	job_snapshot(job, &record);
	autojson json_object *there = op_ask(job, record.op.host, record.op.address);
	if (!op_runs_there(there))
		return status;
	op_note_freeze(job, json_get_object(here, "freeze"), json_get_object(there, "freeze"), offset_ns);
	return 0;
}

static int freeze(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	int64_t offset_ns = clock_difference(job, &record);
	autojson json_object *body = json_object_new_object(), *answer = NULL;
	json_object *to = json_object_new_object();
	json_set_string(to, "host", record.op.host);
	json_set_string(to, "address", record.op.address);
	json_set_int(to, "port", AGENT_PORT);
	json_object_object_add(body, "to", to);
	json_set_int(body, "deadline_ms", OP_DEADMAN_MS);
	json_set_string(body, "process", record.op.process_volume);
	json_object_object_add(body, "faults", faults_take_agents(job->fs->faults, "migrate"));
	autofree char *request = format_string("%s-freeze", record.op.token);
	int status = agents_call(job->fs, record.host, record.address, record.id, "float", body,
				 record.op.granted, request, OP_FREEZE_TIMEOUT_MS, &answer, err);
	if (status < 0)
		return find_frozen(job, offset_ns, status);
	op_note_freeze(job, answer, json_get_object(answer, "adopt"), offset_ns);
	return 0;
}

static bool freeze_done(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *there = op_ask(job, record.op.host, record.op.address);
	if (!op_runs_there(there))
		return false;
	autojson json_object *here = op_ask(job, record.host, record.address);
	op_note_freeze(job, json_get_object(here, "freeze"), json_get_object(there, "freeze"), 0);
	return true;
}

static void undo_prepare(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	op_release(job, record.op.host, record.op.address);
	op_host_detach(job);
	if (!record.op.suspended)
		op_process_volume_drop(job);
}

/* The record names the new host as the job's; op.host is the old one from here on. */
static int commit(struct job *job, struct error *err)
{
	(void)err;
	job_lock(job);
	if (!job->record.op.committed) {
		struct record_op *op = &job->record.op;
		struct record *record = &job->record;
		struct record old = *record;
		record->cost_microusd +=
		    job_host_cost(job->fs, record->instance, record->market, record->host_since_ns);
		record_set(record->host, op->host);
		record_set(record->address, op->address);
		record_set(record->instance, op->type);
		record_set(record->market, op->market);
		record->host_serial = op->host_serial;
		record->host_since_ns = op->host_since_ns;
		record_set(op->host, old.host);
		record_set(op->address, old.address);
		op->host_serial = old.host_serial;
		record->migrations++;
		op->committed = 1;
	}
	job_changed_locked(job, CHANGE_STATE);
	job_unlock(job);
	return 0;
}

/* What the agents did within the frozen section is told afterwards, with the times that they took. */
static int report(struct job *job, struct error *err)
{
	struct record record;
	char took[OP_FREEZE_TEXT];
	(void)err;
	job_snapshot(job, &record);
	follow_restart(job);
	op_tell_dump(job, record.op.host);
	events_write_at(job, record.op.dumped_ns, "Got 1 containers on host %s", record.host);
	events_write_at(job, record.op.dumped_ns, "Ready to recover &{%s false true} on host %s",
			record.container, record.host);
	events_write_at(job, record.op.thaw_ns, "Job floated");
	op_format_freeze(&record, record.freeze_us * 1000, took);
	events_write(job, "Migrated to new VM: %s%s", record.host, took);
	return 0;
}

static int reclaim(struct job *job, struct error *err)
{
	int status = op_host_give_back(job, err);
	if (status == 0)
		op_process_volume_drop(job);
	return status;
}

static const char *fail(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	const char *now = op_where_left(&record);
	bool aborted = !strcmp(record.op.reason, OP_ABORTED);
	if (aborted)
		events_write(job, "Migration aborted; the job %s", now);
	else
		events_write(job, "Migration to instance type %s failed: %s; the job %s", record.op.type,
			     record.op.reason, now);
	job_lock(job);
	if (!aborted)
		record_set(job->record.reason, record.op.reason);
	job_unlock(job);
	return op_leave(job);
}

static const struct op_step steps[] = {
	{ .name = "plan", .run = plan },
	{ .name = "host", .run = op_host_create_to_recover, .undo = op_host_undo },
	{ .name = "up", .run = op_host_await },
	{ .name = "prepare", .run = prepare, .undo = undo_prepare },
	{ .name = "grant", .run = op_grant },
	{ .name = "freeze", .run = freeze, .undo = op_undo_freeze, .done = freeze_done, .frozen = true },
	{ .name = "commit", .run = commit, .final = true },
	{ .name = "report", .run = report, .final = true },
	{ .name = "reclaim", .run = reclaim, .final = true },
};

const struct op_table op_migrate = {
	.name = "migrate",
	.steps = steps,
	.count = array_length(steps),
	.abortable = true,
	.finish = op_goes_on,
	.fail = fail,
};
