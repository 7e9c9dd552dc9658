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

bool controls_begin(struct job *job, const struct caller *caller)
{
	if (!caller->request[0])
		return true;
	job_lock(job);
	bool told = caller->again && !strcmp(job->record.told, caller->request);
	record_set(job->record.told, caller->request);
	job_unlock(job);
	return !told;
}

int controls_end(struct job *job, const struct caller *caller, int status)
{
	job_lock(job);
	if (status < 0 && !strcmp(job->record.told, caller->request))
		job->record.told[0] = '\0';
	job_unlock(job);
	return status;
}

static int start(struct job *job, const struct caller *caller, const char *arguments, struct error *err)
{
	(void)caller;
	(void)arguments;
	return submit_job(job, err);
}

static int cancel(struct job *job, const struct caller *caller, const char *arguments, struct error *err)
{
	(void)caller;
	(void)arguments;
	job_lock(job);
	int status = 0;
	struct record before = job->record;
	if (job_is_draft(&job->record) || job_has_ended(&job->record)) {
		status = error_set(err, EOPNOTSUPP, "job %s is not running: its status is %s", job->record.id,
				   job->record.status);
	} else {
		job->record.cancel = 1;
		if (!strcmp(job->record.status, "Suspended"))
			op_cancel_suspended_locked(job);
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

/* It is in no record: by its name the agent knows one that comes again. */
static int send_signal(struct job *job, const struct caller *caller, const char *name, struct error *err)
{
	struct record record;
	int number = spec_parse_signal(name);
	if (number < 0)
		return error_set(err, EINVAL, "%.40s is not a signal: write signal USR1, say", name);
	job_snapshot(job, &record);
	autojson json_object *body = json_object_new_object();
	json_set_int(body, "signal", number);
	return agents_call(job->fs, record.host, record.address, record.id, "signal", body, record.epoch,
			   caller->request[0] ? caller->request : NULL, AGENT_TIMEOUT_MS, NULL, err);
}

static int abort_migration(struct job *job, const struct caller *caller, const char *arguments,
			   struct error *err)
{
	struct record record;
	bool frozen;
	(void)caller;
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

static const struct verb {
	const char *name;
	const char *argument;  /* what it takes; NULL: nothing */
	bool optional;         /* it may be left out */
	const char *status;    /* in which it is taken; NULL: its function says so */
	const char *under_way; /* while this is the status it was taken before; or NULL */
	int (*run)(struct job *job, const struct caller *caller, const char *argument, struct error *err);
} verbs[] = {
	{ "start", NULL, false, NULL, NULL, start },
	{ "cancel", NULL, false, NULL, NULL, cancel },
	{ "suspend", NULL, false, "Executing", "Suspending", controls_suspend },
	{ "resume", "SNAP", true, "Suspended", "Resuming", controls_resume },
	{ "checkpoint", NULL, false, "Executing", "Capturing", controls_checkpoint },
	{ "abort", NULL, false, NULL, NULL, abort_migration },
	{ "signal", "NAME", false, "Executing", NULL, send_signal },
};

/* 0: now; 1: it was taken before. Back to a snapshot goes one that has ended, too. */
static int check_status(struct job *job, const struct verb *verb, const char *argument, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	if (!verb->status || !strcmp(record.status, verb->status))
		return 0;
	if (verb->optional && *argument && job_has_ended(&record))
		return 0;
	if (verb->under_way && !strcmp(record.status, verb->under_way))
		return 1;
	return error_set(err, record.op.name[0] ? EBUSY : EOPNOTSUPP,
			 "%s is for a job that is %s: the status of %s is %s", verb->name, verb->status,
			 record.id, record.status);
}

static int refuse_command(const char *text, struct error *err)
{
	char names[200] = "";
	for (size_t i = 0; i < array_length(verbs); i++) {
		const char *argument = verbs[i].argument;
		size_t used = strlen(names);
		snprintf(names + used, sizeof(names) - used, "%s%s%s%s%s",
			 i == 0                        ? ""
			 : i + 1 < array_length(verbs) ? ", "
						       : " or ",
			 verbs[i].name,
			 !argument           ? ""
			 : verbs[i].optional ? " ["
					     : " ",
			 argument ? argument : "", verbs[i].optional ? "]" : "");
	}
	return error_set(err, EINVAL, "%.40s is not a command: write %s", text, names);
}

int controls_job(struct floatfs *fs, const struct node *node, const struct caller *caller, const char *text,
		 struct error *err)
{
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return error_set(err, ENOENT, "the job is gone");
	for (size_t i = 0; i < array_length(verbs); i++) {
		const char *arguments = controls_argument(text, verbs[i].name);
		if (!arguments)
			continue;
		if (*arguments && !verbs[i].argument)
			return error_set(err, EINVAL, "%s takes no argument", verbs[i].name);
		if (!controls_begin(job, caller))
			return 0;
		int status = check_status(job, &verbs[i], arguments, err);
		if (status == 0)
			status = verbs[i].run(job, caller, arguments, err);
		return controls_end(job, caller, status < 0 ? status : 0);
	}
	return refuse_command(text, err);
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
