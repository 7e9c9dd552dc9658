/* An ended job's volumes, mounted read-only to be looked at: open, files and read of API.md. */
#include <errno.h>
#include <string.h>

#include "agent/job_state.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/log.h"

static inline void unlock_files_(pthread_rwlock_t **lock)
{
	if (*lock)
		pthread_rwlock_unlock(*lock);
}

#define autofiles __attribute__((cleanup(unlock_files_), unused))

int job_open_files(struct job *job, struct error *err)
{
	struct files *files = NULL;
	int status = files_open(job->layout, &files, err);
	pthread_rwlock_wrlock(&job->files_lock);
	if (status == 0)
		job->files = files;
	pthread_rwlock_unlock(&job->files_lock);
	return status;
}

void job_close_files(struct job *job)
{
	pthread_rwlock_wrlock(&job->files_lock);
	files_close(take_pointer(job->files));
	pthread_rwlock_unlock(&job->files_lock);
}

static int mount_volumes(struct job *job, struct error *err)
{
	int status = layout_claim_volumes(job->layout, false, JOB_DEVICE_WAIT_MS, err);
	if (status == 0)
		status = layout_mount_volumes(job->layout, false, err);
	return status < 0 ? status : job_open_files(job, err);
}

/* The spec is written before anything is mounted: a release finds it, whoever asks. */
static int show(struct job *job, json_object *body, struct error *err)
{
	struct spec *spec = spec_parse(json_get_object(body, "spec"), err);
	if (!spec)
		return -(err ? err->code : EINVAL);
	if (strcmp(spec->id, job->id) != 0) {
		spec_free(spec);
		return error_set(err, EINVAL, "the spec is of another job");
	}
	autofree char *path = job_path(job, "spec.json");
	int status = json_write_file(path, spec->json, 0600);
	if (status < 0) {
		spec_free(spec);
		return error_sys(err, -status, "cannot write %s", path);
	}
	job_set_spec(job, spec);
	job->layout->read_only = true;
	status = mount_volumes(job, err);
	if (status == 0) {
		job_set_state(job, OPEN);
		return 0;
	}
	struct error more = { 0 };
	if (job_tear_down(job, &more) < 0)
		log_error("job %s: %s", job->id, more.text);
	return status;
}

int jobs_show(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	      struct error *err)
{
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = job_begin(jobs, id, epoch, true, &job, err);
	if (status < 0 || job_get_state(job) == OPEN)
		return status;
	if (job_get_state(job) != RELEASED)
		return error_set(err, EOPNOTSUPP, "the job's files cannot be looked at here: it is %s",
				 job_state_name(job_get_state(job)));
	return show(job, body, err);
}

/* The files, read-locked. */
static int find_files(struct jobs *jobs, const char *id, int64_t epoch, struct files **files,
		      pthread_rwlock_t **lock, struct error *err)
{
	struct job *job;
	int status = job_open(jobs, id, epoch, false, &job, err);
	if (status < 0)
		return status;
	pthread_rwlock_rdlock(&job->files_lock);
	*lock = &job->files_lock;
	*files = job->files;
	return *files ? 0 : error_set(err, ENOTCONN, "the files of job %s are not open on this host", id);
}

int jobs_files(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	       struct error *err)
{
	autofiles pthread_rwlock_t *lock = NULL;
	struct files *files;
	*answer = NULL;
	int status = find_files(jobs, id, epoch, &files, &lock, err);
	return status < 0 ? status : files_ask(files, body, answer, err);
}

int jobs_read(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, void **data,
	      size_t *length, struct error *err)
{
	autofiles pthread_rwlock_t *lock = NULL;
	struct files *files;
	int status = find_files(jobs, id, epoch, &files, &lock, err);
	return status < 0 ? status : files_read(files, body, data, length, err);
}
