/* float, dump, adopt: the operations around the frozen section (frozen.h). */
#include <errno.h>

#include "agent/job_state.h"
#include "agent/snapshots.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/log.h"

static void set_times(json_object *answer, const struct frozen *frozen)
{
	const struct {
		const char *key;
		int64_t value;
	} times[] = {
		{ "freeze_ns", frozen->freeze_ns },     { "dumped_ns", frozen->dumped_ns },
		{ "released_ns", frozen->released_ns }, { "mounted_ns", frozen->mounted_ns },
		{ "thaw_ns", frozen->thaw_ns },
	};
	for (size_t i = 0; i < array_length(times); i++)
		if (times[i].value)
			json_set_int(answer, times[i].key, times[i].value);
	json_set_int(answer, "epoch", frozen->epoch);
	if (frozen->closed)
		json_set_int(answer, "closed", frozen->closed);
	if (frozen->image_bytes)
		json_set_int(answer, "image_bytes", frozen->image_bytes);
	if (frozen->waited_ns) {
		json_object *waited = json_object_new_object();
		json_set_int(waited, "ns", frozen->waited_ns);
		json_set_string(waited, "for", frozen->waited_for.text);
		json_object_object_add(answer, "waited", waited);
	}
	if (frozen->steps)
		json_object_object_add(answer, "steps", json_object_get(frozen->steps));
}

static int record_hand_over(void *argument)
{
	struct job *job = argument;
	jobs_lock(job->jobs);
	int status = -ECANCELED;
	if (job->aborted != job->epoch) {
		job->handed = true;
		status = job_write_state(job);
	}
	jobs_unlock(job->jobs);
	return status;
}

/* Of the frozen section of this epoch. An adopt has one too, but nobody asks its host for an abort. */
static bool is_aborted(void *argument)
{
	struct job *job = argument;
	jobs_lock(job->jobs);
	bool aborted = job->aborted == job->epoch && !job->handed;
	jobs_unlock(job->jobs);
	return aborted;
}

struct frozen job_new_frozen(struct job *job, int64_t epoch, json_object *body)
{
	return (struct frozen){
		.id = job->id,
		.epoch = epoch,
		.layout = job->layout,
		.hooks = job->jobs->hooks,
		.context = job->jobs->context,
		.faults = json_get_array(body, "faults"),
		.deadline_ms = (int)json_get_int(body, "deadline_ms", 0),
		.handing_over = record_hand_over,
		.aborted = is_aborted,
		.job = job,
	};
}

/* What it wrote last is told from its volume, to which nobody writes now. */
static void show_log(struct job *job)
{
	struct error err = { 0 };
	autofree char *log = job_path(job, "log");
	if (layout_show_log(job->layout, &err) == 0)
		job->jobs->hooks->logs_open(job->jobs->context, job->id, log);
	else
		log_error("job %s: %s", job->id, err.text);
}

static int hide_log(struct job *job, struct error *err)
{
	job->jobs->hooks->logs_close(job->jobs->context, job->id);
	return layout_hide_log(job->layout, JOB_UNMOUNT_MS, err);
}

int job_begin_frozen(struct job *job, json_object *body, json_object *answer, struct error *err)
{
	enum state state = job_get_state(job);
	int status = 0;
	if (state == ENDED)
		status = error_set(err, EOPNOTSUPP, "the job has ended");
	else if (state != RUNNING)
		status =
		    error_set(err, EOPNOTSUPP, "the job does not run here: it is %s", job_state_name(state));
	else
		status = job_set_process(job, json_get_string(body, "process", NULL), err);
	/* There is a newer operation: that from which it came here is over. */
	if (status == 0)
		status = snapshots_forget_before(job->layout, err);
	if (status < 0)
		json_set_string(answer, "job", job_state_name(state));
	else
		job_set_state(job, FROZEN);
	return status;
}

void job_end_frozen(struct job *job, struct frozen *frozen, int status, json_object *answer)
{
	set_times(answer, frozen);
	if (frozen->adopt)
		json_object_object_add(answer, "adopt", json_object_get(frozen->adopt));
	job_set_freeze(job, answer);
	job_set_state(job, frozen->gone ? DUMPED : RUNNING);
	if (status < 0)
		json_set_string(answer, "job", job_state_name(job_get_state(job)));
	frozen_clear(frozen);
}

static int leave(struct job *job, int64_t epoch, json_object *body, json_object *to, json_object **answer,
		 struct error *err)
{
	if (job_get_state(job) == DUMPED && !to) {
		if (!layout_shows_log(job->layout))
			show_log(job);
		*answer = job_get_freeze(job);
		return 0;
	}
	*answer = json_object_new_object();
	int status = job_begin_frozen(job, body, *answer, err);
	if (status < 0)
		return status;
	struct frozen frozen = job_new_frozen(job, epoch, body);
	frozen.to = to;
	status = frozen_leave(&frozen, err);
	job_end_frozen(job, &frozen, status, *answer);
	if (status == 0 && !to)
		show_log(job);
	return status;
}

int jobs_float(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	       struct error *err)
{
	autooperation struct job *job = NULL;
	json_object *to = json_get_object(body, "to");
	*answer = NULL;
	if (!to)
		return error_set(err, EINVAL, "the request does not say where the job goes to");
	int status = job_begin(jobs, id, epoch, false, &job, err);
	return status < 0 ? status : leave(job, epoch, body, to, answer, err);
}

int jobs_dump(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	      struct error *err)
{
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = job_begin(jobs, id, epoch, false, &job, err);
	return status < 0 ? status : leave(job, epoch, body, NULL, answer, err);
}

/* ---- B ---- */

static int adopt(struct job *job, int64_t epoch, json_object *body, json_object **answer, struct error *err)
{
	enum state state = job_get_state(job);
	if (state == RUNNING || state == ENDED) {
		*answer = job_get_freeze(job);
		return 0;
	}
	const char *snap = json_get_string(body, "snapshot", NULL);
	if (snap && !snapshots_name_ok(snap))
		return error_set(err, EINVAL, "`%.40s` is no name of a snapshot", snap);
	int status = job_set_process(job, json_get_string(body, "process", NULL), err);
	if (status == 0 && state == DUMPED)
		status = hide_log(job, err);
	if (status == 0)
		status = job_ensure_keeper(job, err);
	if (status < 0)
		return status;
	struct frozen frozen = job_new_frozen(job, epoch, body);
	frozen.snapshot = snap;
	frozen.undo_snapshot = json_get_bool(body, "undo_snapshot", false);
	job_set_state(job, FROZEN);
	status = frozen_enter(&frozen, err);
	*answer = json_object_new_object();
	set_times(*answer, &frozen);
	frozen_clear(&frozen);
	if (status == 0) {
		struct error more = { 0 };
		job_note_container(job);
		json_set_string(*answer, "container", job->container);
		if (snapshots_tidy(job->layout, json_get_array(body, "keep"), &more) < 0)
			log_warning("job %s: %s", job->id, more.text);
		job_note_snapshots(job);
	}
	job_set_freeze(job, *answer);
	job_set_state(job, status == 0 ? RUNNING : DUMPED);
	if (status < 0)
		json_set_string(*answer, "job", job_state_name(DUMPED));
	return status;
}

int jobs_adopt(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	       struct error *err)
{
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = job_begin(jobs, id, epoch, false, &job, err);
	return status < 0 ? status : adopt(job, epoch, body, answer, err);
}

/* Beside the operation that it is about. It may come before it: then the epoch tells that it is meant. */
int jobs_abort(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	       struct error *err)
{
	struct job *job;
	(void)body;
	*answer = NULL;
	int status = job_open(jobs, id, epoch, false, &job, err);
	if (status < 0)
		return status;
	jobs_lock(jobs);
	bool here = (job->state == RUNNING || job->state == FROZEN) && !job->handed;
	if (here)
		job->aborted = epoch;
	jobs_unlock(jobs);
	if (!here)
		return error_set(err, EOPNOTSUPP,
				 "it is too late: the new host has the job, or is taking it up");
	*answer = json_object_new_object();
	return 0;
}
