/* checkpoint, tidy: a snapshot of a job that runs on. */
#include <errno.h>

#include "agent/job_state.h"
#include "agent/snapshots.h"
#include "lib/cleanup.h"
#include "lib/json.h"

/* Its logs are looked at while the job runs on: the snapshot stays as it is. */
static int describe_snapshot(struct job *job, const char *snap, json_object *answer, struct error *err)
{
	int64_t taken_ns;
	json_object *logs;
	int status = snapshots_describe(job->layout, snap, &taken_ns, &logs, err);
	if (status < 0)
		return status;
	json_set_int(answer, "taken_ns", taken_ns);
	json_object_object_add(answer, "logs", logs);
	return 0;
}

/* Old ones make room first, and the half of this one that an earlier try may have left goes with them. */
static int checkpoint(struct job *job, int64_t epoch, json_object *body, const char *snap,
		      json_object **answer, struct error *err)
{
	*answer = json_object_new_object();
	/* How long it took is known to an agent that was killed meanwhile, no more. */
	if (job_get_state(job) == RUNNING && snapshots_are_complete(job->layout, snap))
		return describe_snapshot(job, snap, *answer, err);
	int status = snapshots_tidy(job->layout, json_get_array(body, "keep"), err);
	if (status == 0)
		status = job_begin_frozen(job, body, *answer, err);
	if (status < 0)
		return status;

	struct frozen frozen = job_new_frozen(job, epoch, body);
	frozen.snapshot = snap;
	status = frozen_checkpoint(&frozen, err);
	bool gone = frozen.gone;
	job_end_frozen(job, &frozen, status, *answer);
	if (!gone)
		job_note_snapshots(job);
	return status < 0 ? status : describe_snapshot(job, snap, *answer, err);
}

/* What is on the volumes for snapshots that nobody wants any more. */
int jobs_tidy(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	      struct error *err)
{
	autooperation struct job *job = NULL;
	json_object *keep = json_get_array(body, "keep");
	*answer = NULL;
	if (!keep)
		return error_set(err, EINVAL, "the request does not say which snapshots are kept");
	int status = job_begin(jobs, id, epoch, false, &job, err);
	if (status == 0 && job_get_state(job) != RUNNING)
		status = error_set(err, EOPNOTSUPP, "the job does not run here: it is %s",
				   job_state_name(job_get_state(job)));
	if (status == 0)
		status = snapshots_forget_before(job->layout, err);
	if (status == 0)
		status = snapshots_tidy(job->layout, keep, err);
	if (status == 0)
		job_note_snapshots(job);
	if (status == 0)
		*answer = json_object_new_object();
	return status;
}

int jobs_checkpoint(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
		    struct error *err)
{
	autooperation struct job *job = NULL;
	const char *snap = json_get_string(body, "snapshot", "");
	*answer = NULL;
	if (!snapshots_name_ok(snap))
		return error_set(err, EINVAL, "`%.40s` is no name of a snapshot", snap);
	int status = job_begin(jobs, id, epoch, false, &job, err);
	return status < 0 ? status : checkpoint(job, epoch, body, snap, answer, err);
}
