#include "agent/job.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/base64.h"
#include "agent/cgroup.h"
#include "agent/job_state.h"
#include "agent/keeper_client.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum { START_TIMEOUT_MS = 20000, QUIT_TIMEOUT_MS = 15000, SCRIPT_MAX = 16 << 20 };

/* ---- prepare ---- */

static void forget_files(struct job *job)
{
	autoclosedir DIR *dir = opendir(job->directory);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    strcmp(entry->d_name, "epoch") == 0)
			continue;
		autofree char *path = job_path(job, entry->d_name);
		int status = file_remove_tree(path);
		if (status < 0)
			log_warning("cannot remove %s: %s", path, strerror(-status));
	}
}

int job_tear_down(struct job *job, struct error *err)
{
	const struct jobs_hooks *hooks = job->jobs->hooks;
	jobs_lock(job->jobs);
	job->quitting = true;
	jobs_unlock(job->jobs);
	int status = keeper_quit(job->directory, QUIT_TIMEOUT_MS, err);
	if (status < 0)
		return status;
	job_join_watcher(job);
	hooks->logs_close(job->jobs->context, job->id);
	job_close_files(job);
	status = layout_unmount_all(job->layout, JOB_UNMOUNT_MS, err);
	if (status < 0)
		return status;
	cgroup_remove();
	hooks->released(job->jobs->context, job->id);

	jobs_lock(job->jobs);
	layout_free(job->layout);
	spec_free(job->spec);
	job->layout = NULL;
	job->spec = NULL;
	job->state = RELEASED;
	job->handed = false;
	json_object_put(job->exit);
	json_object_put(job->freeze);
	json_object_put(job->given_up);
	job->exit = job->freeze = job->given_up = NULL;
	job->snapshots = 0;
	free(take_pointer(job->from));
	free(take_pointer(job->container));
	jobs_unlock(job->jobs);
	forget_files(job);
	job_tell_changed(job);
	return 0;
}

static int bring_up(struct job *job, struct error *err)
{
	autofree char *path = job_path(job, "spec.json");
	int status = json_write_file(path, job->spec->json, 0600);
	if (status < 0)
		return error_sys(err, -status, "cannot write %s", path);
	status = cgroup_make(err);
	if (status == 0)
		status = layout_mount_base(job->layout, JOB_DEVICE_WAIT_MS, err);
	if (status < 0)
		return status;
	job->jobs->hooks->prepared(job->jobs->context, job->id, job->directory);
	return job_ensure_keeper(job, err);
}

static int prepare(struct job *job, json_object *body, struct error *err)
{
	struct spec *spec = spec_parse(json_get_object(body, "spec"), err);
	if (!spec)
		return -(err ? err->code : EINVAL);
	if (strcmp(spec->id, job->id) != 0) {
		spec_free(spec);
		return error_set(err, EINVAL, "the spec is of another job");
	}
	const char *from = json_get_string(body, "from", NULL);
	jobs_lock(job->jobs);
	free(job->from);
	job->from = from ? format_string("%s", from) : NULL;
	jobs_unlock(job->jobs);
	if (job_get_state(job) != RELEASED) {
		/* Here already: what may have changed is the volume for process images. */
		int status = job_set_process(job, spec->process, err);
		spec_free(spec);
		jobs_lock(job->jobs);
		job_write_state(job);
		jobs_unlock(job->jobs);
		return status;
	}
	job_set_spec(job, spec);
	int status = bring_up(job, err);
	if (status < 0) {
		struct error more = { 0 };
		if (job_tear_down(job, &more) < 0)
			log_error("job %s: %s", job->id, more.text);
		return status;
	}
	job_set_state(job, PREPARED);
	return 0;
}

int jobs_prepare(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
		 struct error *err)
{
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = job_begin(jobs, id, epoch, true, &job, err);
	if (status == 0)
		status = prepare(job, body, err);
	if (status == 0)
		*answer = json_object_new_object();
	return status;
}

/* ---- start ---- */

static int start(struct job *job, json_object *body, json_object **answer, struct error *err)
{
	const struct jobs_hooks *hooks = job->jobs->hooks;
	autofree unsigned char *script = NULL;
	size_t length = 0;
	const char *encoded = json_get_string(body, "script", NULL);
	int status = encoded ? base64_decode(encoded, SCRIPT_MAX, &script, &length) : -EINVAL;
	if (status < 0)
		return error_set(err, EINVAL, "the request holds no script in base64 of at most %d MiB",
				 SCRIPT_MAX >> 20);
	if (json_get_bool(body, "format", false))
		status = layout_format(job->layout, JOB_DEVICE_WAIT_MS, err);
	if (status == 0)
		status = layout_claim_volumes(job->layout, false, JOB_DEVICE_WAIT_MS, err);
	if (status == 0)
		status = job_ensure_keeper(job, err);
	if (status == 0)
		status = layout_furnish(job->layout, script, length, err);
	if (status == 0) {
		autofree char *log = job_path(job, "log");
		hooks->logs_open(job->jobs->context, job->id, log);
		status = keeper_call(job->directory, "start", NULL, START_TIMEOUT_MS, NULL, err);
	}
	if (status < 0) {
		struct error more = { 0 };
		hooks->logs_close(job->jobs->context, job->id);
		if (layout_release_volumes(job->layout, JOB_UNMOUNT_MS, &more) < 0)
			log_error("job %s: %s", job->id, more.text);
		return status;
	}
	int64_t now = clock_now_ns();
	job_note_container(job);
	job_set_state(job, RUNNING);
	*answer = json_object_new_object();
	json_set_string(*answer, "container", job->container);
	json_set_int(*answer, "started_ns", now);
	return 0;
}

int jobs_start(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	       struct error *err)
{
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = job_begin(jobs, id, epoch, true, &job, err);
	if (status == 0 && job_get_state(job) == RELEASED)
		status = prepare(job, body, err);
	if (status < 0)
		return status;
	switch (job_get_state(job)) {
	case PREPARED:
		return start(job, body, answer, err);
	case RUNNING:
	case ENDED:
		*answer = json_object_new_object();
		json_set_string(*answer, "container", job->container);
		return 0;
	default:
		return error_set(err, EOPNOTSUPP, "the job cannot be started here: it is %s",
				 job_state_name(job_get_state(job)));
	}
}

/* ---- stop, signal ---- */

/* Beside other operations: the keeper takes requests one by one. */
static int tell_keeper(struct jobs *jobs, const char *id, int64_t epoch, const char *verb, const char *field,
		       int64_t value, json_object **answer, struct error *err)
{
	struct job *job;
	*answer = NULL;
	int status = job_open(jobs, id, epoch, false, &job, err);
	if (status < 0)
		return status;
	enum state state = job_get_state(job);
	if (state == FROZEN)
		return error_set(err, EBUSY, "the job is on its way to another host: ask again in a moment");
	if (state != RUNNING)
		return error_set(err, EOPNOTSUPP, "the job does not run here: it is %s",
				 job_state_name(state));
	autojson json_object *fields = json_object_new_object();
	json_set_int(fields, field, value);
	status = keeper_call(job->directory, verb, fields, JOB_CALL_TIMEOUT_MS, NULL, err);
	if (status == 0)
		*answer = json_object_new_object();
	return status;
}

int jobs_stop(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	      struct error *err)
{
	int64_t grace = json_get_int(body, "grace_ms", 10000);
	return tell_keeper(jobs, id, epoch, "stop", "grace_ms", grace < 0 ? 0 : grace, answer, err);
}

int jobs_signal(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
		struct error *err)
{
	return tell_keeper(jobs, id, epoch, "signal", "signal", json_get_int(body, "signal", 0), answer, err);
}

/* ---- release ---- */

int jobs_release(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
		 struct error *err)
{
	(void)body;
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = job_begin(jobs, id, epoch, true, &job, err);
	if (status == 0 && job->spec)
		status = job_tear_down(job, err);
	if (status == 0)
		*answer = json_object_new_object();
	return status;
}
