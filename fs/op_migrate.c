/* migrate: the running job goes to a new host (DESIGN section 5). */
#include <errno.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/follow.h"
#include "fs/op_host.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
	DEADMAN_MS = 60000,         /* after which A undoes the frozen section by itself */
	FREEZE_TIMEOUT_MS = 180000, /* how long its answer is waited for */
	AGENT_TIMEOUT_MS = 60000,
	PATIENCE_MS = 30000, /* an agent that was killed is there again in a second */
	PAUSE_MS = 200,
};

static int plan(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	const struct cloud_type *type = cloud_find_type(job->fs->ops, job->fs->cloud, record.op.type);
	if (!type)
		return error_set(err, EINVAL, "there is no instance type %s", record.op.type);
	events_write(job,
		     "Ready to migrate with instance type: %s, cpu: %d, memory: %d, zone: %s, last instance "
		     "type: %s(%s)",
		     type->name, type->cpus, type->memory_mib / 1024, record.zone, record.instance,
		     record.market);
	return 0;
}

static int new_host(struct job *job, struct error *err)
{
	events_write(job, "Ready to create new host to recover");
	return op_host_create(job, err);
}

static int create_process_volume(struct job *job, const struct record *record, struct error *err)
{
	const struct cloud_type *type = cloud_find_type(job->fs->ops, job->fs->cloud, record->instance);
	/* At most what the job can hold, in pages and what criu notes of them. */
	struct cloud_volume_spec spec = {
		.size_bytes = (uint64_t)((type ? type->memory_mib : 0) + 1024) << 20,
		.job = record->id,
		.role = "process",
	};
	struct cloud_volume volume;
	snprintf(spec.token, sizeof(spec.token), "process-%.48s", record->op.token);
	int status = job->fs->ops->volume_create(job->fs->cloud, &spec, &volume, err);
	if (status < 0)
		return status;
	job_lock(job);
	record_set(job->record.op.process_volume, volume.id);
	job_unlock(job);
	status = job_save(job, err);
	if (status == 0)
		status = job->fs->ops->volume_attach(job->fs->cloud, volume.id, record->host, err);
	return status;
}

/* The new host's part of the request, which may come twice. */
static int describe_target(struct job *job, json_object **body, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	json_object *spec = NULL;
	int status = op_host_spec(job, record.op.process_volume, &spec, err);
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
	int status = create_process_volume(job, &record, err);
	if (status == 0)
		status = op_host_attach(job, err);
	if (status == 0)
		status = describe_target(job, &body, err);
	if (status < 0)
		return status;
	return agents_call(job->fs, record.op.host, record.op.address, record.id, "prepare", body,
			   record.epoch, NULL, AGENT_TIMEOUT_MS, NULL, err);
}

static void detach(struct job *job, const char *volume, const char *host)
{
	struct error err = { 0 };
	if (volume[0] && host[0] && job->fs->ops->volume_detach(job->fs->cloud, volume, host, &err) < 0)
		log_error("volume %s cannot be detached from host %s: %s", volume, host, err.text);
}

/* The volume of a move is not needed when the move is over, either way. */
static void drop_process_volume(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	job_snapshot(job, &record);
	if (!record.op.process_volume[0])
		return;
	detach(job, record.op.process_volume, record.host);
	bool left = job->fs->ops->volume_destroy(job->fs->cloud, record.op.process_volume, &err) < 0;
	if (left)
		log_error("volume %s of job %s is given back with the job only: %s", record.op.process_volume,
			  record.id, err.text);
	job_lock(job);
	if (left)
		record_set(job->record.process_volume, record.op.process_volume);
	job->record.op.process_volume[0] = '\0';
	job_unlock(job);
}

/* The next epoch is the record's before any agent hears of it; the engine writes it before the next step. */
static int grant(struct job *job, struct error *err)
{
	int status = 0;
	job_lock(job);
	if (job->record.exit_known)
		status = error_set(err, ESRCH, "the job ended before it was moved");
	else if (!job->record.op.granted)
		job->record.op.granted = ++job->record.epoch;
	job_unlock(job);
	return status;
}

/* What an agent says of the job; NULL when it says nothing. Caller puts. */
static json_object *ask_agent(struct job *job, const char *host, const char *address)
{
	json_object *state = NULL;
	struct error err = { 0 };
	if (!host[0] || agents_call(job->fs, host, address, job->record.id, "", NULL, -1, NULL,
				    AGENT_TIMEOUT_MS, &state, &err) < 0)
		return NULL;
	return state;
}

/* For a while, if it does not answer and its host is there. NULL too when the daemon is stopping. */
static json_object *ask_agent_patiently(struct job *job, const char *host, const char *address)
{
	int64_t deadline = clock_monotonic_ms() + PATIENCE_MS;
	json_object *state;
	while (!(state = ask_agent(job, host, address)) && clock_monotonic_ms() < deadline &&
	       op_host_exists(job->fs, host) && fs_wait(job->fs, PAUSE_MS))
		;
	return state;
}

/* The same with a request that may come twice. */
static int call_patiently(struct job *job, const char *host, const char *address, const char *verb,
			  json_object *body, struct error *err)
{
	int64_t deadline = clock_monotonic_ms() + PATIENCE_MS;
	struct record record;
	job_snapshot(job, &record);
	for (;;) {
		int status = agents_call(job->fs, host, address, record.id, verb, body, record.epoch, NULL,
					 FREEZE_TIMEOUT_MS, NULL, err);
		bool answered = err->code != ECONNREFUSED && err->code != ECONNRESET &&
				err->code != EHOSTUNREACH && err->code != ETIMEDOUT;
		if (status == 0 || answered || clock_monotonic_ms() > deadline ||
		    !op_host_exists(job->fs, host) || !fs_wait(job->fs, PAUSE_MS))
			return status;
	}
}

/* Whether the job is there. */
static bool runs_there(json_object *state)
{
	const char *name = state ? json_get_string(state, "state", "") : "";
	return !strcmp(name, "running") || !strcmp(name, "ended");
}

/* Keep what the two agents measured, until commit shows it. */
static void note_freeze(struct job *job, json_object *freeze, json_object *adopt, int64_t offset_ns)
{
	int64_t frozen = json_get_int(freeze, "freeze_ns", 0);
	int64_t thawed = json_get_int(adopt, "thaw_ns", 0);
	thawed = thawed ? thawed - offset_ns : 0;
	job_lock(job);
	job->record.op.freeze_ns = frozen;
	job->record.op.dumped_ns = json_get_int(freeze, "dumped_ns", 0);
	job->record.op.thaw_ns = thawed;
	job->record.op.closed = json_get_int(freeze, "closed", 0);
	json_object *waited = json_get_object(freeze, "waited");
	job->record.op.waited_ns = json_get_int(waited, "ns", 0);
	record_set(job->record.op.waited_for, json_get_string(waited, "for", ""));
	job->record.freeze_us = frozen && thawed > frozen ? (thawed - frozen) / 1000 : 0;
	job_unlock(job);
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
		status = call_patiently(job, record.op.host, record.op.address, "prepare", body, &err);
	if (status == 0)
		return 0;
	if (!fs_wait(job->fs, 0))
		return -ECANCELED;
	log_info("job %s: host %s is destroyed to fence it: %s", record.id, record.op.host, err.text);
	while (op_host_destroy(job, record.op.host, &err) < 0) {
		log_error("host %s of job %s cannot be destroyed: %s", record.op.host, record.id, err.text);
		if (!fs_wait(job->fs, PATIENCE_MS))
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
	autojson json_object *here = ask_agent_patiently(job, record.host, record.address);
	/* A takes it up by itself as long as B was not asked to. */
	if (runs_there(here) || fence(job) < 0)
		return status;
	job_snapshot(job, &record);
	autojson json_object *there = ask_agent(job, record.op.host, record.op.address);
	if (!runs_there(there))
		return status;
	note_freeze(job, json_get_object(here, "freeze"), json_get_object(there, "freeze"), offset_ns);
	return 0;
}

static int freeze(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	int64_t offset_ns = clock_difference(job, &record);
	autojson json_object *body = json_object_new_object(), *answer = NULL;
	json_object *to = json_object_new_object(), *faults = json_object_new_array();
	json_set_string(to, "host", record.op.host);
	json_set_string(to, "address", record.op.address);
	json_set_int(to, "port", AGENT_PORT);
	json_object_object_add(body, "to", to);
	json_set_int(body, "deadline_ms", DEADMAN_MS);
	json_set_string(body, "process", record.op.process_volume);
	static const char *const agent_steps[] = { "dump", "release", "restore" };
	for (size_t i = 0; i < array_length(agent_steps); i++) {
		if (!faults_take(job->fs->faults, "migrate", agent_steps[i]))
			continue;
		autofree char *fault = format_string("%s:error", agent_steps[i]);
		json_object_array_add(faults, json_object_new_string(fault));
	}
	json_object_object_add(body, "faults", faults);
	autofree char *request = format_string("%s-freeze", record.op.token);
	int status = agents_call(job->fs, record.host, record.address, record.id, "float", body,
				 record.op.granted, request, FREEZE_TIMEOUT_MS, &answer, err);
	if (status < 0)
		return find_frozen(job, offset_ns, status);
	note_freeze(job, answer, json_get_object(answer, "adopt"), offset_ns);
	return 0;
}

static bool freeze_done(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *there = ask_agent(job, record.op.host, record.op.address);
	if (!runs_there(there))
		return false;
	autojson json_object *here = ask_agent(job, record.host, record.address);
	note_freeze(job, json_get_object(here, "freeze"), json_get_object(there, "freeze"), 0);
	return true;
}

/* Nothing of it is left on B, and its volumes are free. */
static void release_target(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	job_snapshot(job, &record);
	autojson json_object *body = json_object_new_object();
	if (record.op.host[0] && agents_call(job->fs, record.op.host, record.op.address, record.id, "release",
					     body, record.epoch, NULL, AGENT_TIMEOUT_MS, NULL, &err) < 0)
		log_info("job %s: %s", record.id, err.text);
}

static void tell_closed(struct job *job, int64_t ns, int64_t count)
{
	if (count > 0)
		events_write_at(job, ns, "Closed %lld connection%s to the outside", (long long)count,
				count == 1 ? "" : "s");
}

/* B does not have it, and will not: see find_frozen. */
static void undo_freeze(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	job_snapshot(job, &record);
	autojson json_object *state = ask_agent_patiently(job, record.host, record.address);
	/* What it says of an earlier move was told then. */
	if (json_get_int(state, "epoch", -1) == record.op.granted)
		tell_closed(job, 0, json_get_int(json_get_object(state, "freeze"), "closed", 0));
	if (runs_there(state))
		return;
	release_target(job);
	autojson json_object *body = json_object_new_object();
	json_set_string(body, "process", record.op.process_volume);
	if (call_patiently(job, record.host, record.address, "adopt", body, &err) == 0) {
		events_write(job, "Job goes on where it was, on host %s", record.host);
		return;
	}
	/* When floatfs is stopping, the next start tries it again. */
	job_lock(job);
	bool stopping = job->fs->stopping;
	job->record.op.suspended = !stopping;
	job_unlock(job);
	if (stopping)
		return;
	events_write(job, "Job could not go on: %s; its process image is kept on volume %s", err.text,
		     record.op.process_volume);
	log_error("job %s is suspended: %s", record.id, err.text);
}

static void undo_prepare(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	release_target(job);
	detach(job, record.work_volume, record.op.host);
	for (int64_t i = 0; i < record.volume_count; i++)
		detach(job, record.volumes[i].id, record.op.host);
	detach(job, record.op.process_volume, record.op.host);
	if (!record.op.suspended)
		drop_process_volume(job);
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
	char took[40];
	(void)err;
	job_snapshot(job, &record);
	follow_restart(job);
	if (record.op.waited_ns) {
		events_format_duration(record.op.waited_ns, took, sizeof(took));
		events_write_at(job, record.op.freeze_ns, "Waited %s to checkpoint: %s", took,
				record.op.waited_for);
	}
	events_format_duration(record.op.dumped_ns - record.op.freeze_ns, took, sizeof(took));
	events_write_at(job, record.op.freeze_ns, "Ready to checkpoint host %s", record.op.host);
	tell_closed(job, record.op.freeze_ns, record.op.closed);
	events_write_at(job, record.op.dumped_ns, "Checkpointed host %s, result: &{map[%s:]}, duration %s",
			record.op.host, record.container, took);
	events_write_at(job, record.op.dumped_ns, "Got 1 containers on host %s", record.host);
	events_write_at(job, record.op.dumped_ns, "Ready to recover &{%s false true} on host %s",
			record.container, record.host);
	events_write_at(job, record.op.thaw_ns, "Job floated");
	events_format_duration(record.freeze_us * 1000, took, sizeof(took));
	/* An agent that was killed in between does not know how long it took. */
	bool known = record.op.freeze_ns && record.op.thaw_ns > record.op.freeze_ns;
	events_write(job, "Migrated to new VM: %s%s%s", record.host, known ? ", frozen for " : "",
		     known ? took : "");
	return 0;
}

static int reclaim(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	if (record.op.host[0]) {
		autojson json_object *body = json_object_new_object();
		events_write(job, "Ready to reclaim host %s", record.op.host);
		/* In order if it answers; it is destroyed all the same. */
		if (agents_call(job->fs, record.op.host, record.op.address, record.id, "release", body,
				record.epoch, NULL, AGENT_TIMEOUT_MS, NULL, err) < 0)
			log_info("job %s: %s", record.id, err->text);
		int status = op_host_destroy(job, record.op.host, err);
		if (status < 0)
			return status;
		events_write(job, "Reclaimed host %s", record.op.host);
		job_lock(job);
		job->record.op.host[0] = '\0';
		job_changed_locked(job, CHANGE_STATE);
		job_unlock(job);
	}
	drop_process_volume(job);
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
	bool suspended = record.op.suspended;
	const char *now = suspended ? "is suspended" : "goes on where it was";
	bool aborted = !strcmp(record.op.reason, OP_ABORTED);
	if (aborted)
		events_write(job, "Migration aborted; the job %s", now);
	else
		events_write(job, "Migration to instance type %s failed: %s; the job %s", record.op.type,
			     record.op.reason, now);
	job_lock(job);
	if (!aborted)
		record_set(job->record.reason, record.op.reason);
	/* Its image goes with the job from here on, not with the move. */
	if (suspended)
		record_set(job->record.process_volume, record.op.process_volume);
	job_unlock(job);
	if (suspended)
		follow_stop(job);
	else
		follow_restart(job);
	return suspended ? "Suspended" : record.cancel ? "Cancelling" : "Executing";
}

static const struct op_step steps[] = {
	{ .name = "plan", .run = plan },
	{ .name = "host", .run = new_host, .undo = op_host_undo },
	{ .name = "prepare", .run = prepare, .undo = undo_prepare },
	{ .name = "grant", .run = grant },
	{ .name = "freeze", .run = freeze, .undo = undo_freeze, .done = freeze_done, .frozen = true },
	{ .name = "commit", .run = commit, .final = true },
	{ .name = "report", .run = report, .final = true },
	{ .name = "reclaim", .run = reclaim, .final = true },
};

const struct op_table op_migrate = {
	.name = "migrate",
	.steps = steps,
	.count = array_length(steps),
	.abortable = true,
	.finish = finish,
	.fail = fail,
};
