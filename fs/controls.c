#include "fs/controls.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/images.h"
#include "fs/op.h"
#include "fs/spec.h"
#include "fs/submit.h"
#include "lib/cleanup.h"
#include "lib/json.h"

enum { AGENT_TIMEOUT_MS = 5000 };

const char *controls_argument(const char *text, const char *verb)
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
		const char *arguments = controls_argument(text, verbs[i].verb);
		if (!arguments)
			continue;
		if (*arguments && verbs[i].run != send_signal)
			return error_set(err, EINVAL, "%s takes no argument", verbs[i].verb);
		return verbs[i].run(job, arguments, err);
	}
	return error_set(err, EINVAL, "%.40s is not a command: write start, cancel, abort or signal NAME",
			 text);
}

int controls_image(struct floatfs *fs, const struct node *node, const struct caller *caller, const char *text,
		   struct error *err)
{
	struct image image;
	if (caller->uid != 0)
		return error_set(err, EACCES, "only root imports images");
	if (images_find_serial(fs, node->serial, &image) < 0)
		return error_set(err, ENOENT, "the image is gone");
	const char *source = controls_argument(text, "import");
	if (!source || !*source)
		return error_set(err, EINVAL,
				 "write import PATH: a directory or tar archive of a root file system");
	return images_import(fs, image.name, source, err);
}
