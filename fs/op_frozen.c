#include "fs/op_frozen.h"

#include <errno.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/faults.h"
#include "fs/follow.h"
#include "fs/op_host.h"
#include "fs/settings.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
	AGENT_TIMEOUT_MS = 60000,
	PATIENCE_MS = 30000, /* an agent that was killed is there again in a second */
	PAUSE_MS = 200,
};

/* Derived from the operation's: asked for again, it is the same volume. */
static void process_token(const struct record *record, char token[CLOUD_TOKEN_SIZE])
{
	snprintf(token, CLOUD_TOKEN_SIZE, "process-%.48s", record->op.token);
}

int op_process_volume_create(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	const struct cloud_type *type = cloud_find_type(job->fs->ops, job->fs->cloud, record.instance);
	/* At most what the job can hold, in pages and what criu notes of them. */
	struct cloud_volume_spec spec = {
		.size_bytes = (uint64_t)((type ? type->memory_mib : 0) + 1024) << 20,
		.job = record.id,
		.role = "process",
	};
	struct cloud_volume volume;
	process_token(&record, spec.token);
	int status = job->fs->ops->volume_create(job->fs->cloud, &spec, &volume, err);
	if (status < 0)
		return status;
	job_lock(job);
	record_set(job->record.op.process_volume, volume.id);
	job_unlock(job);
	status = op_save(job) ? 0 : error_set(err, ECANCELED, "floatfs is stopping");
	if (status == 0)
		status = job->fs->ops->volume_attach(job->fs->cloud, volume.id, record.host, err);
	return status;
}

/* One whose name was never noted, by a floatfs that was killed before it could, is known by its token only. */
static void find_by_token(struct job *job, struct record *record)
{
	struct cloud_volume *volumes = NULL;
	size_t count = 0;
	char token[CLOUD_TOKEN_SIZE];
	struct error err = { 0 };
	process_token(record, token);
	if (job->fs->ops->volume_list(job->fs->cloud, &volumes, &count, &err) < 0)
		log_error("volumes cannot be listed: %s", err.text);
	for (size_t i = 0; i < count; i++)
		if (!strcmp(volumes[i].token, token))
			record_set(record->op.process_volume, volumes[i].id);
	free(volumes);
}

void op_process_volume_drop(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	job_snapshot(job, &record);
	if (!record.op.process_volume[0])
		find_by_token(job, &record);
	const char *volume = record.op.process_volume;
	if (!volume[0])
		return;
	if (record.host[0] && job->fs->ops->volume_detach(job->fs->cloud, volume, record.host, &err) < 0)
		log_error("volume %s cannot be detached from host %s: %s", volume, record.host, err.text);
	bool left = job->fs->ops->volume_destroy(job->fs->cloud, volume, &err) < 0;
	if (left)
		log_error("volume %s of job %s is given back with the job only: %s", volume, record.id,
			  err.text);
	job_lock(job);
	if (left)
		record_set(job->record.process_volume, volume);
	job->record.op.process_volume[0] = '\0';
	job_unlock(job);
}

void op_process_volume_undo(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	if (!record.op.suspended)
		op_process_volume_drop(job);
}

/* The engine writes it before the next step. */
int op_grant(struct job *job, struct error *err)
{
	int status = 0;
	job_lock(job);
	if (job->record.exit_known && !job->record.op.ended[0])
		status = error_set(err, ESRCH, "the job has ended");
	else if (!job->record.op.granted)
		job->record.op.granted = ++job->record.epoch;
	job_unlock(job);
	return status;
}

json_object *op_ask(struct job *job, const char *host, const char *address)
{
	json_object *state = NULL;
	struct error err = { 0 };
	if (!host[0] || agents_call(job->fs, host, address, job->record.id, "", NULL, -1, NULL,
				    AGENT_TIMEOUT_MS, &state, &err) < 0)
		return NULL;
	return state;
}

json_object *op_ask_patiently(struct job *job, const char *host, const char *address)
{
	int64_t deadline = clock_monotonic_ms() + PATIENCE_MS;
	json_object *state;
	while (!(state = op_ask(job, host, address)) && clock_monotonic_ms() < deadline &&
	       op_host_exists(job->fs, host) && fs_wait(job->fs, PAUSE_MS))
		;
	return state;
}

int op_call_patiently(struct job *job, const char *host, const char *address, const char *verb,
		      json_object *body, json_object **answer, struct error *err)
{
	int64_t deadline = clock_monotonic_ms() + PATIENCE_MS;
	struct record record;
	job_snapshot(job, &record);
	for (;;) {
		/* A refusal may have brought one. */
		if (answer)
			json_object_put(take_pointer(*answer));
		int status = agents_call(job->fs, host, address, record.id, verb, body, record.epoch, NULL,
					 OP_FREEZE_TIMEOUT_MS, answer, err);
		if (status == 0 || !http_is_silence(err->code) || clock_monotonic_ms() > deadline ||
		    !op_host_exists(job->fs, host) || !fs_wait(job->fs, PAUSE_MS))
			return status;
		/* They may be why there was no answer, and are due once. */
		json_object_object_del(body, "faults");
	}
}

bool op_runs_there(json_object *state)
{
	const char *name = state ? json_get_string(state, "state", "") : "";
	return !strcmp(name, "running") || !strcmp(name, "ended");
}

void op_release(struct job *job, const char *host, const char *address)
{
	struct record record;
	struct error err = { 0 };
	job_snapshot(job, &record);
	autojson json_object *body = json_object_new_object();
	if (host[0] && agents_call(job->fs, host, address, record.id, "release", body, record.epoch, NULL,
				   AGENT_TIMEOUT_MS, NULL, &err) < 0)
		log_info("job %s: %s", record.id, err.text);
}

static void tell_closed(struct job *job, int64_t ns, int64_t count)
{
	if (count > 0)
		events_write_at(job, ns, "Closed %lld connection%s to the outside", (long long)count,
				count == 1 ? "" : "s");
}

void op_undo_freeze(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	job_snapshot(job, &record);
	autojson json_object *state = op_ask_patiently(job, record.host, record.address);
	json_object *frozen = json_get_object(state, "freeze");
	/* What it says of an earlier freeze was told then. */
	if (json_get_int(frozen, "epoch", -1) == record.op.granted)
		tell_closed(job, 0, json_get_int(frozen, "closed", 0));
	if (op_runs_there(state))
		return;
	op_release(job, record.op.host, record.op.address);
	autojson json_object *body = json_object_new_object();
	json_set_string(body, "process", record.op.process_volume);
	json_object_object_add(body, "faults", faults_take_agents(job->fs->faults, "undo"));
	if (op_call_patiently(job, record.host, record.address, "adopt", body, NULL, &err) == 0) {
		events_write(job, "Job goes on where it was, on host %s", record.host);
		return;
	}
	if (!op_host_exists(job->fs, record.host)) {
		follow_note_gone(job, record.host, "is gone");
		return;
	}
	if (err.code == EOWNERDEAD) {
		follow_note_gone(
		    job, record.host,
		    "cannot take the job up where it was: it had gone on elsewhere, and was lost");
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

/* Its image goes with the job from here on, not with the operation, and it may be resumed elsewhere. */
static const char *leave_suspended(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	follow_stop(job);
	job_snapshot(job, &record);
	if (settings_write_value(job, "instance", record.instance, &err) < 0)
		log_error("job %s: %s", record.id, err.text);
	job_lock(job);
	record_set(job->record.process_volume, record.op.process_volume);
	job_unlock(job);
	return op_suspended(job);
}

const char *op_goes_on(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	return record.cancel ? "Cancelling" : "Executing";
}

const char *op_where_left(const struct record *record)
{
	return record->op.suspended ? "is suspended"
	       : record->lost       ? "is lost with its host"
				    : "goes on where it was";
}

const char *op_leave(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	if (record.op.suspended)
		return leave_suspended(job);
	if (!record.lost)
		follow_restart(job);
	return op_goes_on(job);
}

const char *op_freeze_failed(struct job *job, const char *what)
{
	struct record record;
	job_snapshot(job, &record);
	events_write(job, "%s failed: %s; the job %s", what, record.op.reason, op_where_left(&record));
	job_lock(job);
	record_set(job->record.reason, record.op.reason);
	job_unlock(job);
	return op_leave(job);
}

void op_note_freeze(struct job *job, json_object *freeze, json_object *adopt, int64_t offset_ns)
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

void op_format_freeze(const struct record *record, int64_t ns, char text[OP_FREEZE_TEXT])
{
	char took[40];
	events_format_duration(ns, took, sizeof(took));
	bool known = record->op.freeze_ns && record->op.thaw_ns > record->op.freeze_ns;
	snprintf(text, OP_FREEZE_TEXT, "%s%s", known ? ", frozen for " : "", known ? took : "");
}

void op_tell_dump(struct job *job, const char *host)
{
	struct record record;
	char took[40];
	job_snapshot(job, &record);
	if (record.op.waited_ns) {
		events_format_duration(record.op.waited_ns, took, sizeof(took));
		events_write_at(job, record.op.freeze_ns, "Waited %s to checkpoint: %s", took,
				record.op.waited_for);
	}
	events_format_duration(record.op.dumped_ns - record.op.freeze_ns, took, sizeof(took));
	events_write_at(job, record.op.freeze_ns, "Ready to checkpoint host %s", host);
	tell_closed(job, record.op.freeze_ns, record.op.closed);
	events_write_at(job, record.op.dumped_ns, "Checkpointed host %s, result: &{map[%s:]}, duration %s",
			host, record.container, took);
}
