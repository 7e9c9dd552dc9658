#include "fs/op_host.h"

#include <errno.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/images.h"
#include "fs/op_frozen.h"
#include "fs/secrets.h"
#include "fs/settings.h"
#include "fs/tree.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum { TRIES = 3, PAUSE_FIRST_MS = 1000, LOOK_MS = 1000 };

/* What the cloud knows a host by that it is asked for, and what that host knows us by. */
static void draw_names(struct record_op *op)
{
	random_text(op->token, 32, "abcdefghijklmnopqrstuvwxyz0123456789");
	random_text(op->secret, 48, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
}

void op_host_plan(struct record_op *op, const char *type, enum cloud_market market)
{
	record_set(op->type, type);
	record_set(op->market, cloud_market_name(market));
	draw_names(op);
}

int op_host_create(struct job *job, struct error *err)
{
	struct floatfs *fs = job->fs;
	struct record record;
	job_snapshot(job, &record);
	if (record.op.host[0])
		return 0;
	uint64_t serial = fs_new_serial(fs, err);
	if (!serial)
		return -err->code;
	autojson json_object *enrolment = agents_enrolment(fs, record.op.secret);
	struct cloud_host_spec spec = {
		.type = cloud_find_type(fs->ops, fs->cloud, record.op.type),
		.market =
		    strcmp(record.op.market, cloud_market_name(CLOUD_SPOT)) ? CLOUD_ONDEMAND : CLOUD_SPOT,
		.zone = record.zone[0] ? record.zone : NULL,
		.job = record.id,
		.enrolment = enrolment,
	};
	record_set(spec.token, record.op.token);
	struct cloud_host host;
	int status = fs->ops->host_create(fs->cloud, &spec, &host, err);
	if (status < 0)
		return status;
	job_lock(job);
	record_set(job->record.op.host, host.id);
	record_set(job->record.op.address, host.address);
	job->record.op.host_serial = (int64_t)serial;
	job->record.op.host_since_ns = clock_now_ns();
	record_set(job->record.zone, host.zone);
	job_changed_locked(job, CHANGE_STATE);
	job_unlock(job);
	return op_save(job) ? 0 : error_set(err, ECANCELED, "floatfs is stopping");
}

/* Waiting for it may be of no use any more. */
struct waiting {
	struct job *job;
	const char *host;
	int64_t looked_ms;
};

/* A migrating job that has ended, or is to end; one that is to be forgotten. */
static bool is_useless(struct job *job)
{
	job_lock(job);
	const struct record *record = &job->record;
	bool migrates = !strcmp(record->op.name, op_migrate.name);
	bool reads = !strcmp(record->op.name, op_files.name); /* a resume shuts its files too */
	bool useless = migrates ? record->exit_known || record->cancel : reads && job->files.shut;
	job_unlock(job);
	return useless;
}

static int check_waiting(void *context, struct error *err)
{
	struct waiting *waiting = context;
	int status = op_check_wanted(waiting->job, err);
	if (status == 0 && is_useless(waiting->job))
		status = error_set(err, ECANCELED, "the job needs no new host any more");
	if (status < 0 || clock_monotonic_ms() < waiting->looked_ms + LOOK_MS)
		return status;
	waiting->looked_ms = clock_monotonic_ms();
	if (!op_host_exists(waiting->job->fs, waiting->host))
		return error_set(err, EHOSTDOWN, "host %s is gone before it was up", waiting->host);
	return 0;
}

static int await_host(struct job *job, struct error *err)
{
	struct record record;
	char took[40];
	job_snapshot(job, &record);
	struct waiting waiting = { .job = job, .host = record.op.host, .looked_ms = clock_monotonic_ms() };
	struct agents_wait wait = { .timeout_ms = job->fs->options.up_seconds * 1000,
				    .check = check_waiting,
				    .context = &waiting };
	int status = agents_enrol(job->fs, record.op.host, record.op.address, record.op.secret, &wait, err);
	if (status < 0)
		return status;
	events_format_duration(clock_now_ns() - record.op.host_since_ns, took, sizeof(took));
	events_write(job, "Created new host: %s(%s), up after %s", record.op.host, record.op.market, took);
	return 0;
}

static bool is_lost(int code)
{
	return code == ETIMEDOUT || code == EHOSTDOWN;
}

/* The cloud would give the same host again for the same token. */
static bool forget_host(struct job *job)
{
	op_host_undo(job);
	job_lock(job);
	bool gone = !job->record.op.host[0];
	if (gone)
		draw_names(&job->record.op);
	job_unlock(job);
	return gone && op_save(job);
}

int op_host_await(struct job *job, struct error *err)
{
	for (int left = TRIES - 1, pause = PAUSE_FIRST_MS;; left--, pause *= 2) {
		/* There is none also where a floatfs was killed that had just given one back. */
		int status = op_host_create(job, err);
		if (status == 0)
			status = await_host(job, err);
		if (status == 0 || !is_lost(err->code) || !left)
			return status;
		events_write(job, "Another host is asked for: %s", err->text);
		if (!forget_host(job) || !fs_wait(job->fs, pause))
			return status;
	}
}

int op_host_announce(struct job *job, const char *verb, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	const struct cloud_type *type = cloud_find_type(job->fs->ops, job->fs->cloud, record.op.type);
	if (!type)
		return error_set(err, EINVAL, "there is no instance type %s", record.op.type);
	events_write(job,
		     "Ready to %s with instance type: %s, cpu: %d, memory: %d, zone: %s, last instance "
		     "type: %s(%s)",
		     verb, type->name, type->cpus, type->memory_mib / 1024, record.zone, record.instance,
		     record.market);
	return 0;
}

int op_host_create_to_recover(struct job *job, struct error *err)
{
	events_write(job, "Ready to create new host to recover");
	return op_host_create(job, err);
}

int op_host_destroy(struct job *job, const char *host, struct error *err)
{
	return host[0] ? job->fs->ops->host_destroy(job->fs->cloud, host, err) : 0;
}

int op_host_reclaim(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	if (!record.host[0])
		return 0;
	int64_t began = clock_now_ns();
	int status = op_host_destroy(job, record.host, err);
	if (status < 0)
		return status;
	events_write_at(job, began, "Ready to reclaim host %s", record.host);
	events_write(job, "Reclaimed host %s", record.host);
	job_lock(job);
	job->record.cost_microusd +=
	    job_host_cost(job->fs, record.instance, record.market, record.host_since_ns);
	job->record.host[0] = '\0';
	job_changed_locked(job, CHANGE_STATE);
	job_unlock(job);
	return 0;
}

bool op_host_exists(struct floatfs *fs, const char *host)
{
	struct cloud_host *hosts = NULL;
	size_t count = 0;
	struct error err = { 0 };
	if (fs->ops->host_list(fs->cloud, &hosts, &count, &err) < 0) {
		log_warning("hosts cannot be listed: %s", err.text);
		return true;
	}
	bool found = false;
	for (size_t i = 0; i < count; i++)
		found |= !strcmp(hosts[i].id, host) && hosts[i].state != CLOUD_HOST_GONE;
	free(hosts);
	return found;
}

/*
 * A host whose name was never noted is known by its token only: it may have been made by a floatfs that was
 * killed before it could write the name down.
 */
static void find_by_token(struct job *job, const char *token, char host[64])
{
	struct cloud_host *hosts = NULL;
	size_t count = 0;
	struct error err = { 0 };
	if (job->fs->ops->host_list(job->fs->cloud, &hosts, &count, &err) < 0)
		log_error("hosts cannot be listed: %s", err.text);
	for (size_t i = 0; i < count; i++)
		if (!strcmp(hosts[i].token, token))
			record_set_text(host, 64, hosts[i].id);
	free(hosts);
}

void op_host_undo(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	job_snapshot(job, &record);
	if (!record.op.host[0] && record.op.token[0])
		find_by_token(job, record.op.token, record.op.host);
	if (!record.op.host[0])
		return;
	if (op_host_destroy(job, record.op.host, &err) < 0) {
		log_error("host %s of job %s is left over: %s", record.op.host, record.id, err.text);
		return;
	}
	events_write(job, "Reclaimed host %s", record.op.host);
	job_lock(job);
	job->record.cost_microusd +=
	    job_host_cost(job->fs, record.op.type, record.op.market, record.op.host_since_ns);
	job->record.op.host[0] = '\0';
	job_changed_locked(job, CHANGE_STATE);
	job_unlock(job);
}

int op_host_attach_volumes(struct job *job, struct error *err)
{
	struct floatfs *fs = job->fs;
	struct record record;
	job_snapshot(job, &record);
	int status = fs->ops->volume_attach(fs->cloud, record.work_volume, record.op.host, err);
	for (int64_t i = 0; i < record.volume_count && status == 0; i++)
		status = fs->ops->volume_attach(fs->cloud, record.volumes[i].id, record.op.host, err);
	return status;
}

int op_host_attach(struct job *job, struct error *err)
{
	struct floatfs *fs = job->fs;
	struct record record;
	char serial[32];
	job_snapshot(job, &record);
	autofree char *image = images_file(fs, record.image);
	images_device_serial(record.digest, serial);
	int status = fs->ops->image_attach(fs->cloud, image, serial, record.op.host, err);
	if (status == 0)
		status = op_host_attach_volumes(job, err);
	if (status == 0 && record.op.process_volume[0])
		status = fs->ops->volume_attach(fs->cloud, record.op.process_volume, record.op.host, err);
	return status;
}

static void detach(struct job *job, const char *volume, const char *host)
{
	struct error err = { 0 };
	if (volume[0] && host[0] && job->fs->ops->volume_detach(job->fs->cloud, volume, host, &err) < 0)
		log_error("volume %s cannot be detached from host %s: %s", volume, host, err.text);
}

void op_host_detach(struct job *job)
{
	struct record record;
	job_snapshot(job, &record);
	detach(job, record.work_volume, record.op.host);
	for (int64_t i = 0; i < record.volume_count; i++)
		detach(job, record.volumes[i].id, record.op.host);
	detach(job, record.op.process_volume, record.op.host);
}

int op_host_give_back(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	if (!record.op.host[0])
		return 0;
	events_write(job, "Ready to reclaim host %s", record.op.host);
	op_release(job, record.op.host, record.op.address);
	int status = op_host_destroy(job, record.op.host, err);
	if (status < 0)
		return status;
	events_write(job, "Reclaimed host %s", record.op.host);
	job_lock(job);
	job->record.op.host[0] = '\0';
	job_changed_locked(job, CHANGE_STATE);
	job_unlock(job);
	return 0;
}
