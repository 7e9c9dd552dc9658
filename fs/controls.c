#include "fs/controls.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/images.h"
#include "fs/op.h"
#include "fs/op_host.h"
#include "fs/spec.h"
#include "fs/submit.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/reserve.h"

enum {
	AGENT_TIMEOUT_MS = 5000,
	RESTORE_MIB = 32, /* what criu itself takes of the job's while it restores it */
};

/* The rest of a command after its verb, or NULL when the verb is another. */
static const char *argument(const char *text, const char *verb)
{
	size_t length = strlen(verb);
	if (strncmp(text, verb, length) || (text[length] != ' ' && text[length] != '\0'))
		return NULL;
	return text + length + strspn(text + length, " ");
}

static int start(struct job *job, const char *arguments, struct error *err)
{
	(void)arguments;
	return submit_job(job, err);
}

static int cancel(struct job *job, const char *arguments, struct error *err)
{
	(void)arguments;
	job_lock(job);
	int status = 0;
	struct record before = job->record;
	if (job_is_draft(&job->record) || job_has_ended(&job->record)) {
		status = error_set(err, EOPNOTSUPP, "job %s is not running: its status is %s", job->record.id,
				   job->record.status);
	} else {
		job->record.cancel = 1;
		/* A job with no process left has nothing to be asked for. */
		if (!strcmp(job->record.status, "Suspended")) {
			job->record.lost = 1;
			record_set(job->record.reason, "cancelled while it was suspended");
		}
		job_set_status_locked(job, "Cancelling");
	}
	job_unlock(job);
	if (status < 0)
		return status;
	status = job_save(job, err);
	if (status == 0) {
		op_settle(job);
		return 0;
	}
	/* Not recorded: not accepted. */
	job_lock(job);
	job->record.cancel = before.cancel;
	job->record.lost = before.lost;
	if (!strcmp(job->record.status, "Cancelling"))
		job_set_status_locked(job, before.status);
	job_unlock(job);
	return status;
}

static int send_signal(struct job *job, const char *name, struct error *err)
{
	struct record record;
	int number = spec_parse_signal(name);
	if (number < 0)
		return error_set(err, EINVAL, "%.40s is not a signal: write signal USR1, say", name);
	job_snapshot(job, &record);
	if (strcmp(record.status, "Executing"))
		return error_set(err, EOPNOTSUPP, "job %s is not executing: its status is %s", record.id,
				 record.status);
	autojson json_object *body = json_object_new_object();
	json_set_int(body, "signal", number);
	return agents_call(job->fs, record.host, record.address, record.id, "signal", body, record.epoch,
			   NULL, AGENT_TIMEOUT_MS, NULL, err);
}

static int abort_migration(struct job *job, const char *arguments, struct error *err)
{
	struct record record;
	bool frozen;
	(void)arguments;
	int status = op_abort(job, &record, &frozen, err);
	if (status < 0 || !frozen)
		return status;
	autojson json_object *body = json_object_new_object();
	status = agents_call(job->fs, record.host, record.address, record.id, "abort", body,
			     record.op.granted, NULL, AGENT_TIMEOUT_MS, NULL, err);
	if (status == 0)
		return 0;
	op_go_on(job);
	/* It is not there any more, or says so. */
	return status == -ENOENT ? error_set(err, EOPNOTSUPP, "job %s is on its new host already", record.id)
				 : status;
}

static const struct {
	const char *verb;
	int (*run)(struct job *job, const char *arguments, struct error *err);
} verbs[] = {
	{ "start", start },
	{ "cancel", cancel },
	{ "signal", send_signal },
	{ "abort", abort_migration },
};

int controls_job(struct floatfs *fs, const struct node *node, const struct caller *caller, const char *text,
		 struct error *err)
{
	(void)caller;
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return error_set(err, ENOENT, "the job is gone");
	for (size_t i = 0; i < array_length(verbs); i++) {
		const char *arguments = argument(text, verbs[i].verb);
		if (!arguments)
			continue;
		if (*arguments && verbs[i].run != send_signal)
			return error_set(err, EINVAL, "%s takes no argument", verbs[i].verb);
		return verbs[i].run(job, arguments, err);
	}
	return error_set(err, EINVAL, "%.40s is not a command: write start, cancel, abort or signal NAME",
			 text);
}

/* What the job holds in memory now; what was last known where its agent does not say. */
static int64_t memory_held(struct job *job, const struct record *record)
{
	autojson json_object *state = NULL;
	struct error err = { 0 };
	if (agents_call(job->fs, record->host, record->address, record->id, "", NULL, -1, NULL,
			AGENT_TIMEOUT_MS, &state, &err) < 0) {
		log_info("job %s: %s", record->id, err.text);
		return record->memory_bytes;
	}
	int64_t bytes = json_get_int(state, "memory_bytes", record->memory_bytes);
	job_lock(job);
	job->record.memory_bytes = bytes;
	job_unlock(job);
	return bytes;
}

static int check_memory(struct job *job, const struct record *record, const struct cloud_type *type,
			struct error *err)
{
	int64_t held = memory_held(job, record), memory = (int64_t)type->memory_mib << 20;
	int64_t room = memory - reserve_of_memory(memory) - ((int64_t)RESTORE_MIB << 20);
	if (held < room)
		return 0;
	return error_set(
	    err, ENOMEM,
	    "%s has %d MiB of memory, %lld of them for the job, which holds %lld: choose a larger "
	    "type",
	    type->name, type->memory_mib, (long long)(room >> 20), (long long)(held >> 20));
}

/* Under way already, to the same type or to another? 1: to the same; 0: none. */
static int check_under_way(const struct record *record, const struct cloud_type *type, struct error *err)
{
	if (strcmp(record->op.name, op_migrate.name) || record->op.undoing)
		return 0;
	if (!strcmp(record->op.type, type->name))
		return 1;
	return error_set(err, EBUSY, "job %s is on its way to %s: wait until it is there", record->id,
			 record->op.type);
}

int controls_migrate(struct floatfs *fs, const struct node *node, const struct caller *caller,
		     const char *text, struct error *err)
{
	(void)caller;
	struct spec_target target;
	const struct cloud_type *type;
	struct record record;
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return error_set(err, ENOENT, "the job is gone");
	int status = spec_parse_target(text, &target, err);
	if (status == 0)
		status = spec_resolve_target(&target, fs->ops, fs->cloud, &type, err);
	if (status < 0)
		return status;
	job_snapshot(job, &record);
	status = check_under_way(&record, type, err);
	if (status)
		return status < 0 ? status : 0;
	if (strcmp(record.status, "Executing"))
		return error_set(err, EOPNOTSUPP,
				 "only a job that is executing can be moved: the status of %s is %s",
				 record.id, record.status);
	status = check_memory(job, &record, type, err);
	if (status < 0)
		return status;

	struct record_op op = { 0 };
	enum cloud_market market =
	    strcmp(record.policy_market, cloud_market_name(CLOUD_ONDEMAND)) ? CLOUD_SPOT : CLOUD_ONDEMAND;
	op_host_plan(&op, type, market);
	char before[sizeof(record.target)];
	job_lock(job);
	record_set_text(before, sizeof(before), job->record.target);
	record_set(job->record.target, text);
	bool executing = !strcmp(job->record.status, "Executing");
	job_unlock(job);
	status = executing ? op_begin(job, &op_migrate, &op, "Floating", err)
			   : error_set(err, EBUSY, "job %s: another operation is under way", record.id);
	if (status == -EBUSY) {
		/* Somebody else was first: with the same target that is as good as ours. */
		struct record now;
		job_snapshot(job, &now);
		int other = check_under_way(&now, type, err);
		if (other == 1)
			return 0;
	}
	if (status < 0) {
		job_lock(job);
		record_set(job->record.target, before);
		job_unlock(job);
	}
	return status;
}

int controls_image(struct floatfs *fs, const struct node *node, const struct caller *caller, const char *text,
		   struct error *err)
{
	struct image image;
	if (caller->uid != 0)
		return error_set(err, EACCES, "only root imports images");
	if (images_find_serial(fs, node->serial, &image) < 0)
		return error_set(err, ENOENT, "the image is gone");
	const char *source = argument(text, "import");
	if (!source || !*source)
		return error_set(err, EINVAL,
				 "write import PATH: a directory or tar archive of a root file system");
	return images_import(fs, image.name, source, err);
}
