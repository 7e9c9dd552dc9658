/* start: from an accepted draft to a running job. */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/follow.h"
#include "fs/op_frozen.h"
#include "fs/op_host.h"
#include "fs/op_recover.h"
#include "fs/op_spec.h"
#include "fs/settings.h"
#include "fs/snapshots.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
	/* btrfs keeps chunks for itself (metadata 256 MiB on a small device, system 4 MiB, and what it
	   reserves): a volume of 10 GB must hold 10 GB of the job's. */
	VOLUME_OVERHEAD_MIB = 640,
	START_TIMEOUT_MS = 120000,
	TRIES = 3,
};

static int create_volume(struct job *job, const char *role, int64_t gib, char id[64], struct error *err)
{
	struct cloud_volume_spec spec = {
		.size_bytes = (uint64_t)gib * (1 << 30) + (uint64_t)VOLUME_OVERHEAD_MIB * (1 << 20),
		.job = job->record.id,
		.role = role,
	};
	struct cloud_volume volume;
	/* Derived, not drawn: the same volume of the same start has the same token after a crash too. */
	snprintf(spec.token, sizeof(spec.token), "%.32s-%.30s", job->record.op.token, role);
	int status = job->fs->ops->volume_create(job->fs->cloud, &spec, &volume, err);
	if (status < 0)
		return status;
	job_lock(job);
	record_set_text(id, 64, volume.id);
	job_unlock(job);
	return 0;
}

static int create_volumes(struct job *job, struct error *err)
{
	int status = create_volume(job, "work", OP_WORK_GIB, job->record.work_volume, err);
	for (int64_t i = 0; i < job->record.volume_count && status == 0; i++) {
		struct record_volume *volume = &job->record.volumes[i];
		char role[32];
		snprintf(role, sizeof(role), "data-%d", (int)i);
		status = create_volume(job, role, volume->size_gb, volume->id, err);
	}
	return status;
}

static void destroy_volume(struct job *job, char id[64])
{
	struct error err = { 0 };
	if (!id[0])
		return;
	if (job->fs->ops->volume_destroy(job->fs->cloud, id, &err) < 0)
		log_error("volume %s of job %s is left over: %s", id, job->record.id, err.text);
	job_lock(job);
	id[0] = '\0';
	job_unlock(job);
}

static void destroy_volumes(struct job *job)
{
	destroy_volume(job, job->record.work_volume);
	for (int64_t i = 0; i < job->record.volume_count; i++)
		destroy_volume(job, job->record.volumes[i].id);
}

static int create_first_volumes(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	op_pause(job, record.failed_starts);
	return create_volumes(job, err);
}

static int new_host(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	const struct cloud_type *type = cloud_find_type(job->fs->ops, job->fs->cloud, record.op.type);
	if (!type)
		return error_set(err, EINVAL, "there is no instance type %s", record.op.type);
	events_write(job,
		     "Ready to create new host with instance type: %s, cpu: %d, memory: %d, zone: %s(%s)",
		     type->name, type->cpus, type->memory_mib / 1024, job->fs->ops->zone(job->fs->cloud),
		     record.op.market);
	return op_host_create(job, err);
}

/* Whether it failed for its host alone, which then is gone, or says nothing. */
static int note_silence(struct job *job, int status, const struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	bool lost = status < 0 && (http_is_silence(err->code) || !op_host_exists(job->fs, record.op.host));
	job_lock(job);
	job->record.op.host_lost = lost;
	job_unlock(job);
	return status;
}

static int prepare(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *spec = NULL;
	int status = note_silence(job, op_host_attach(job, err), err);
	if (status == 0)
		status = op_spec(job, "", &spec, err);
	if (status < 0)
		return status;
	autojson json_object *body = json_object_new_object();
	json_object_object_add(body, "spec", json_object_get(spec));
	status = op_call_patiently(job, record.op.host, record.op.address, "prepare", body, NULL, err);
	return note_silence(job, status, err);
}

static int encode_script(struct job *job, char **base64, struct error *err)
{
	autofree char *path = settings_path(job, "script"), *script = NULL;
	size_t length;
	int status = file_read(path, SETTING_SCRIPT_LIMIT, &script, &length);
	if (status < 0)
		return error_sys(err, -status, "the script cannot be read");
	gnutls_datum_t encoded = { 0 };
	if (gnutls_base64_encode2(
		&(gnutls_datum_t){ .data = (unsigned char *)script, .size = (unsigned)length }, &encoded) < 0)
		return error_set(err, ENOMEM, "out of memory");
	*base64 = strndup((const char *)encoded.data, encoded.size);
	gnutls_free(encoded.data);
	return *base64 ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int launch(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *spec = NULL, *answer = NULL;
	autofree char *script = NULL;
	int status = op_spec(job, "", &spec, err);
	if (status == 0)
		status = encode_script(job, &script, err);
	if (status < 0)
		return status;
	autojson json_object *body = json_object_new_object();
	json_object_object_add(body, "spec", json_object_get(spec));
	json_set_bool(body, "format", true);
	json_set_string(body, "script", script);
	job_lock(job);
	job->record.op.launched = 1;
	job_unlock(job);
	/* Asked again it says that it runs. */
	status = op_call_patiently(job, record.op.host, record.op.address, "start", body, &answer, err);
	if (note_silence(job, status, err) < 0)
		return status;
	job_lock(job);
	job->record.start_ns = json_get_int(answer, "started_ns", clock_now_ns());
	job_unlock(job);
	return 0;
}

static void undo_launch(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	job_snapshot(job, &record);
	/* The host is destroyed next, and the job with it, whether or not its agent could be asked. */
	autojson json_object *body = json_object_new_object();
	if (record.op.host[0] && agents_call(job->fs, record.op.host, record.op.address, record.id, "release",
					     body, record.epoch, NULL, START_TIMEOUT_MS, NULL, &err) < 0)
		log_info("job %s: %s", record.id, err.text);
}

/* The record names the host as the job's: from here on nothing takes it for one to be given back. */
static int commit(struct job *job, struct error *err)
{
	(void)err;
	job_lock(job);
	if (job->record.op.host[0]) {
		record_set(job->record.host, job->record.op.host);
		record_set(job->record.address, job->record.op.address);
		record_set(job->record.instance, job->record.op.type);
		record_set(job->record.market, job->record.op.market);
		job->record.host_serial = job->record.op.host_serial;
		job->record.host_since_ns = job->record.op.host_since_ns;
		job->record.op.host[0] = '\0';
	}
	job_unlock(job);
	return 0;
}

static const char *finish(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	events_write(job, "Job started on host %s, container %s", record.host, record.container);
	return record.cancel ? "Cancelling" : "Executing";
}

/* Where it may have run, that is one of the times that its policy allows. Never beside a host that could not be destroyed. */
static bool may_begin_anew(struct job *job, const struct record *record)
{
	return !record->cancel && record->op.host_lost && !record->op.host[0] &&
	       record->failed_starts < TRIES - 1 && (!record->op.launched || op_may_rerun(job, record));
}

static const char *begin_anew(struct job *job, const struct record *record)
{
	events_write(job, "Job could not be started: %s; it is tried again", record->op.reason);
	job_lock(job);
	job->record.failed_starts++;
	job->record.reruns += record->op.launched;
	job->record.start_ns = 0;
	job_unlock(job);
	return "Initializing"; /* op_settle goes on */
}

static const char *fail(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	if (may_begin_anew(job, &record))
		return begin_anew(job, &record);
	if (!record.cancel)
		events_write(job, "Job could not be started: %s", record.op.reason);
	else
		events_write(job, "Job cancelled before it was started");
	job_lock(job);
	record_set(job->record.reason, record.cancel ? "cancelled" : record.op.reason);
	job->record.end_ns = clock_now_ns();
	job_unlock(job);
	return record.cancel ? "Cancelled" : "FailToExecute";
}

static const struct op_step steps[] = {
	{ .name = "volumes", .run = create_first_volumes, .undo = destroy_volumes },
	{ .name = "host", .run = new_host, .undo = op_host_undo },
	{ .name = "up", .run = op_host_await },
	{ .name = "prepare", .run = prepare },
	{ .name = "launch", .run = launch, .undo = undo_launch },
	{ .name = "commit", .run = commit, .final = true },
};

const struct op_table op_start = {
	.name = "start",
	.steps = steps,
	.count = array_length(steps),
	.cancellable = true,
	.finish = finish,
	.fail = fail,
};

/* ---- again, from the beginning ---- */

/* Blank volumes, and logs with nothing in them: what they had is kept beside them. */
static int reset(struct job *job, struct error *err)
{
	(void)err;
	events_write(job,
		     "Ready to start the job again, from its beginning: it has no snapshot to go back to");
	destroy_volumes(job);
	snapshots_cut_logs(job, 0);
	return 0;
}

static const char *finish_rerun(struct job *job)
{
	job_lock(job);
	job_revive_locked(job);
	job->record.reruns++;
	job_unlock(job);
	follow_restart(job);
	return finish(job);
}

static const struct op_step rerun_steps[] = {
	{ .name = "fence", .run = op_recover_fence },
	{ .name = "reset", .run = reset },
	{ .name = "volumes", .run = create_volumes, .undo = destroy_volumes },
	{ .name = "host", .run = new_host, .undo = op_host_undo },
	{ .name = "up", .run = op_host_await },
	{ .name = "grant", .run = op_grant },
	{ .name = "prepare", .run = prepare },
	{ .name = "launch", .run = launch, .undo = undo_launch },
	{ .name = "commit", .run = commit, .final = true },
};

const struct op_table op_rerun = {
	.name = "rerun",
	.steps = rerun_steps,
	.count = array_length(rerun_steps),
	.cancellable = true,
	.finish = finish_rerun,
	.fail = op_recover_failed,
};
