#include "agent/job_state.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/keeper_client.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

static const char *const state_names[] = {
	[PREPARED] = "prepared", [RUNNING] = "running",   [FROZEN] = "frozen", [DUMPED] = "dumped",
	[ENDED] = "ended",       [RELEASED] = "released", [OPEN] = "open",
};

const char *job_state_name(enum state state)
{
	return state_names[state];
}

enum state job_state_of(const char *name)
{
	for (size_t i = 0; i < array_length(state_names); i++)
		if (strcmp(state_names[i], name) == 0)
			return (enum state)i;
	return RELEASED;
}

char *job_path(const struct job *job, const char *name)
{
	return format_string("%s/%s", job->directory, name);
}

/* ---- what is recorded ---- */

static int write_epoch(const struct job *job, int64_t epoch)
{
	char text[32];
	autofree char *path = job_path(job, "epoch");
	int length = snprintf(text, sizeof(text), "%lld\n", (long long)epoch);
	return file_write_durable(path, text, (size_t)length, 0600);
}

/* With the mutex held. */
int job_write_state(const struct job *job)
{
	autojson json_object *object = json_object_new_object();
	autofree char *path = job_path(job, "state.json");
	json_set_string(object, "state", state_names[job->state]);
	json_set_bool(object, "handed", job->handed);
	json_set_string(object, "from", job->from);
	json_set_string(object, "container", job->container);
	if (job->freeze)
		json_object_object_add(object, "freeze", json_object_get(job->freeze));
	if (job->given_up)
		json_object_object_add(object, "given_up", json_object_get(job->given_up));
	int status = json_write_file(path, object, 0600);
	if (status < 0)
		log_error("cannot write %s: %s", path, strerror(-status));
	return status;
}

void job_tell_changed(struct job *job)
{
	if (job->jobs->hooks)
		job->jobs->hooks->changed(job->jobs->context, job->id);
}

/* Nobody will know how it ends: end it, so that nothing runs unseen. With the mutex held. */
static void lose(struct job *job)
{
	cgroup_kill();
	if (job->exit)
		return;
	job->exit = json_object_new_object();
	json_set_int(job->exit, "signal", SIGKILL);
	json_set_bool(job->exit, "lost", true);
}

/* A job that has ended meanwhile is not `running` any more. */
void job_set_state(struct job *job, enum state state)
{
	jobs_lock(job->jobs);
	if (state == RUNNING && job->keeper_lost)
		lose(job);
	job->state = state == RUNNING && job->exit ? ENDED : state;
	if (state == RUNNING || state == PREPARED)
		job->handed = false;
	job_write_state(job);
	jobs_unlock(job->jobs);
	job_tell_changed(job);
}

enum state job_get_state(struct job *job)
{
	jobs_lock(job->jobs);
	enum state state = job->state;
	jobs_unlock(job->jobs);
	return state;
}

/* The caller of an operation may add to its answer: what others read is a copy. */
json_object *job_copy(json_object *object)
{
	json_object *copy = NULL;
	if (object && json_object_deep_copy(object, &copy, NULL) < 0)
		abort();
	return copy;
}

void job_set_freeze(struct job *job, json_object *answer)
{
	jobs_lock(job->jobs);
	json_object_put(job->freeze);
	job->freeze = job_copy(answer);
	jobs_unlock(job->jobs);
}

json_object *job_get_freeze(struct job *job)
{
	jobs_lock(job->jobs);
	json_object *answer = job->freeze ? job_copy(job->freeze) : json_object_new_object();
	jobs_unlock(job->jobs);
	return answer;
}

void job_note_container(struct job *job)
{
	jobs_lock(job->jobs);
	free(job->container);
	job->container = format_string("%s", job->spec->container);
	jobs_unlock(job->jobs);
}

/* ---- the keeper's word about the end ---- */

static void *watch_end(void *argument)
{
	struct job *job = argument;
	autojson json_object *end = NULL;
	jobs_lock(job->jobs);
	int fd = job->watch;
	jobs_unlock(job->jobs);
	int status = keeper_wait(fd, &end);

	jobs_lock(job->jobs);
	bool lost = status < 0 && !job->quitting;
	bool had_tasks = job->state == RUNNING || job->state == FROZEN;
	/* In a frozen section that one finds out what is left of the job. */
	job->keeper_lost = lost && job->state == FROZEN;
	if (end && !job->exit)
		job->exit = json_object_get(end);
	if (lost && job->state == RUNNING)
		lose(job);
	if (job->exit && job->state == RUNNING)
		job->state = ENDED;
	if (job->exit)
		job_write_state(job);
	close(job->watch);
	job->watch = -1;
	jobs_unlock(job->jobs);
	if (lost && had_tasks)
		log_error("job %s: its keeper has gone: the job is lost on this host", job->id);
	job_tell_changed(job);
	return NULL;
}

void job_join_watcher(struct job *job)
{
	jobs_lock(job->jobs);
	bool joinable = job->watcher_joinable;
	job->watcher_joinable = false;
	jobs_unlock(job->jobs);
	if (joinable)
		pthread_join(job->watcher, NULL);
}

int job_start_watching(struct job *job, struct error *err)
{
	jobs_lock(job->jobs);
	bool watched = job->watch >= 0;
	jobs_unlock(job->jobs);
	if (watched)
		return 0;
	job_join_watcher(job);
	int fd = keeper_watch(job->directory);
	if (fd < 0)
		return error_sys(err, -fd, "the job's keeper cannot be reached");
	jobs_lock(job->jobs);
	job->watch = fd;
	job->quitting = job->keeper_lost = false;
	job->watcher_joinable = pthread_create(&job->watcher, NULL, watch_end, job) == 0;
	bool started = job->watcher_joinable;
	if (!started)
		job->watch = -1;
	jobs_unlock(job->jobs);
	if (started)
		return 0;
	close(fd);
	return error_set(err, EAGAIN, "cannot start a thread for the job");
}

int job_ensure_keeper(struct job *job, struct error *err)
{
	jobs_lock(job->jobs);
	bool watched = job->watch >= 0;
	jobs_unlock(job->jobs);
	if (watched)
		return 0;
	int status = keeper_start(job->directory, err);
	return status < 0 ? status : job_start_watching(job, err);
}

/* ---- finding a job ---- */

struct job *job_new(struct jobs *jobs, const char *id)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		abort();
	snprintf(job->id, sizeof(job->id), "%s", id);
	job->jobs = jobs;
	job->directory = format_string("%s/%s", JOBS_DIRECTORY, id);
	job->state = RELEASED;
	job->watch = -1;
	job->epoch = -1;
	job->aborted = -1;
	pthread_mutex_init(&job->operation, NULL);
	pthread_rwlock_init(&job->files_lock, NULL);
	return job;
}

/* With the mutex held. */
struct job *job_find(struct jobs *jobs, const char *id)
{
	for (struct job *job = jobs->first; job; job = job->next)
		if (strcmp(job->id, id) == 0)
			return job;
	return NULL;
}

/* With the mutex held. */
static int check_epoch(struct job *job, int64_t epoch, struct error *err)
{
	if (epoch < 0)
		return error_set(err, EINVAL, "a request about a job must tell its epoch");
	if (epoch < job->epoch)
		return error_set(err, ESTALE, "epoch %lld is past: this host has seen %lld of job %s",
				 (long long)epoch, (long long)job->epoch, job->id);
	if (epoch == job->epoch)
		return 0;
	int status = write_epoch(job, epoch);
	if (status < 0)
		return error_sys(err, -status, "cannot record the job's epoch");
	job->epoch = epoch;
	return 0;
}

/* The job, its epoch checked and recorded; made when create says so. */
int job_open(struct jobs *jobs, const char *id, int64_t epoch, bool create, struct job **found,
	     struct error *err)
{
	if (!spec_id_valid(id))
		return error_set(err, EINVAL, "`%s` is no job id", id);
	jobs_lock(jobs);
	int status = 0;
	struct job *job = job_find(jobs, id);
	if (!job && create) {
		job = job_new(jobs, id);
		status = file_make_directories(job->directory, 0700);
		if (status < 0)
			error_sys(err, -status, "cannot make %s", job->directory);
		job->next = jobs->first;
		jobs->first = job;
	}
	if (!job)
		status = error_set(err, ENOENT, "there is no job %s on this host", id);
	if (status == 0)
		status = check_epoch(job, epoch, err);
	jobs_unlock(jobs);
	*found = job;
	return status;
}

/* As open_job, and takes the operation lock; the epoch may have moved on while another operation was at work.
 */
int job_begin(struct jobs *jobs, const char *id, int64_t epoch, bool create, struct job **locked,
	      struct error *err)
{
	struct job *job;
	int status = job_open(jobs, id, epoch, create, &job, err);
	if (status < 0)
		return status;
	pthread_mutex_lock(&job->operation);
	jobs_lock(jobs);
	status = check_epoch(job, epoch, err);
	jobs_unlock(jobs);
	if (status == 0 && !create && job_get_state(job) == RELEASED)
		status = error_set(err, ENOENT, "there is no job %s on this host", id);
	if (status < 0) {
		pthread_mutex_unlock(&job->operation);
		return status;
	}
	*locked = job;
	return 0;
}

int jobs_check_epoch(struct jobs *jobs, const char *id, int64_t epoch, struct error *err)
{
	struct job *job;
	return job_open(jobs, id, epoch, false, &job, err);
}

void job_set_spec(struct job *job, struct spec *spec)
{
	jobs_lock(job->jobs);
	/* There is one already where an agent was killed before the job was prepared. */
	layout_free(job->layout);
	spec_free(job->spec);
	job->spec = spec;
	job->layout = layout_new(job->directory, spec);
	jobs_unlock(job->jobs);
}

/* The volume for process images is another one at each move. */
int job_set_process(struct job *job, const char *serial, struct error *err)
{
	if (!serial || (job->spec->process && strcmp(serial, job->spec->process) == 0))
		return 0;
	if (!spec_id_valid(serial))
		return error_set(err, EINVAL, "`%s` is no volume's serial", serial);
	json_set_string(job->spec->json, "process", serial);
	job->spec->process = json_get_string(job->spec->json, "process", NULL);
	autofree char *path = job_path(job, "spec.json");
	int status = json_write_file(path, job->spec->json, 0600);
	return status < 0 ? error_sys(err, -status, "cannot write %s", path) : 0;
}
