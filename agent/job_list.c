/* What there is: the answers about all jobs, and what an earlier agent process left. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/cgroup.h"
#include "agent/job_state.h"
#include "agent/keeper_client.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

/* With the mutex held. */
static json_object *describe(struct job *job)
{
	json_object *object = json_object_new_object();
	json_set_string(object, "id", job->id);
	json_set_int(object, "epoch", job->epoch);
	json_set_string(object, "state", job_state_name(job->state));
	json_set_string(object, "container", job->container);
	json_set_int(object, "memory_bytes", job->state == RUNNING ? cgroup_memory() : 0);
	if (job->exit)
		json_object_object_add(object, "exit", job_copy(job->exit));
	if (job->freeze)
		json_object_object_add(object, "freeze", job_copy(job->freeze));
	return object;
}

json_object *jobs_describe(struct jobs *jobs)
{
	json_object *array = json_object_new_array();
	jobs_lock(jobs);
	for (struct job *job = jobs->first; job; job = job->next)
		json_object_array_add(array, describe(job));
	jobs_unlock(jobs);
	return array;
}

json_object *jobs_describe_one(struct jobs *jobs, const char *id)
{
	jobs_lock(jobs);
	struct job *job = job_find(jobs, id);
	json_object *object = job ? describe(job) : NULL;
	jobs_unlock(jobs);
	return object;
}

bool jobs_exit(struct jobs *jobs, const char *id, json_object **exit)
{
	jobs_lock(jobs);
	struct job *job = job_find(jobs, id);
	bool ended = job && job->exit;
	if (ended)
		*exit = job_copy(job->exit);
	jobs_unlock(jobs);
	return ended;
}

bool jobs_dumped(struct jobs *jobs, const char *id)
{
	jobs_lock(jobs);
	struct job *job = job_find(jobs, id);
	bool dumped = job && job->state == DUMPED;
	jobs_unlock(jobs);
	return dumped;
}

bool jobs_running(struct jobs *jobs, const char *id)
{
	jobs_lock(jobs);
	struct job *job = job_find(jobs, id);
	bool running = job && job->state == RUNNING;
	jobs_unlock(jobs);
	return running;
}

bool jobs_peer_allowed(struct jobs *jobs, const char *id, const char *peer)
{
	jobs_lock(jobs);
	struct job *job = job_find(jobs, id);
	bool allowed = job && job->from && strcmp(job->from, peer) == 0;
	jobs_unlock(jobs);
	return allowed;
}

/* ---- an earlier agent's jobs ---- */

static void read_epoch(struct job *job)
{
	autofree char *path = job_path(job, "epoch"), *text = NULL;
	if (file_read(path, 64, &text, NULL) == 0)
		job->epoch = strtoll(text, NULL, 10);
}

/* What an earlier agent knew. */
static void recall(struct job *job)
{
	autofree char *state_path = job_path(job, "state.json"), *spec_path = job_path(job, "spec.json"),
		      *exit_path = job_path(job, "exit");
	autojson json_object *state = NULL, *spec = NULL;
	struct error err = { 0 };
	read_epoch(job);
	if (json_read_file(spec_path, &spec, &err) < 0)
		return;
	job->spec = spec_parse(spec, &err);
	if (!job->spec) {
		log_error("%s: %s", spec_path, err.text);
		return;
	}
	job->layout = layout_new(job->directory, job->spec);
	/* It was not prepared to the end: that is asked for again, or its release is. */
	if (json_read_file(state_path, &state, &err) < 0)
		return;
	json_read_file(exit_path, &job->exit, &err);
	const char *from = json_get_string(state, "from", NULL),
		   *container = json_get_string(state, "container", NULL);
	job->state = job_state_of(json_get_string(state, "state", "prepared"));
	job->handed = json_get_bool(state, "handed", false);
	job->from = from ? format_string("%s", from) : NULL;
	job->container = container ? format_string("%s", container) : NULL;
	job->freeze = json_object_get(json_get_object(state, "freeze"));
	job->given_up = json_object_get(json_get_array(state, "given_up"));
}

/*
 * The agent ended inside a frozen section. The keeper knows whether the tasks are there (it may be at the
 * dump or the restore still: the call waits for it). Gone and not handed over: take the job up again. Handed
 * over: let go.
 */
static void take_up(struct job *job)
{
	struct error err = { 0 };
	autojson json_object *reply = NULL;
	int status = job_ensure_keeper(job, &err);
	if (status == 0)
		status = keeper_call(job->directory, "state", NULL, JOB_CALL_TIMEOUT_MS, &reply, &err);
	if (status == 0 && json_get_int(reply, "pid", 0) > 0) {
		/* The image is not needed while the job runs, and its volume is somebody else's to take away. */
		if (layout_unmount_process(job->layout, JOB_UNMOUNT_MS, &err) < 0)
			log_warning("job %s: %s", job->id, err.text);
		job_set_state(job, RUNNING);
		return;
	}
	/* With a container it ran here before: this is the side that was leaving. */
	if (status == 0 && !job->handed && job->container) {
		struct frozen frozen = job_new_frozen(job, job->epoch, NULL);
		status = frozen_enter(&frozen, &err);
		frozen_clear(&frozen);
		if (status == 0) {
			log_info("job %s: taken up again after the agent was started anew", job->id);
			job_set_state(job, RUNNING);
			return;
		}
	}
	if (status < 0)
		log_error("job %s: %s", job->id, err.text);
	/* Before it was handed over they were let go of; the other host may have them. */
	if (!job->handed && layout_release_volumes(job->layout, JOB_UNMOUNT_MS, &err) < 0)
		log_error("job %s: %s", job->id, err.text);
	job_set_state(job, DUMPED);
}

static void reconnect(struct job *job)
{
	struct error err = { 0 };
	const struct jobs_hooks *hooks = job->jobs->hooks;
	if (job->state == OPEN) {
		if (job_open_files(job, &err) < 0)
			log_error("job %s: %s", job->id, err.text);
		return;
	}
	hooks->prepared(job->jobs->context, job->id, job->directory);
	if (job->state == FROZEN) {
		take_up(job);
	} else if (job->state != ENDED && job_start_watching(job, &err) < 0) {
		log_error("job %s: %s", job->id, err.text);
		/* Below it is lost for that. */
		jobs_lock(job->jobs);
		job->keeper_lost = job->state == RUNNING;
		jobs_unlock(job->jobs);
	}
	if (job->state == RUNNING) {
		job_set_state(job, RUNNING); /* or ended meanwhile */
		job_note_snapshots(job);
	}
	bool shown = job->state == DUMPED && layout_shows_log(job->layout);
	if (job->state == RUNNING || job->state == ENDED || shown) {
		autofree char *log = job_path(job, "log");
		hooks->logs_open(job->jobs->context, job->id, log);
	}
}

struct jobs *jobs_open(const char *host_id, struct error *err)
{
	int status = file_make_directories(JOBS_DIRECTORY, 0700);
	if (status < 0) {
		error_sys(err, -status, "cannot make " JOBS_DIRECTORY);
		return NULL;
	}
	struct jobs *jobs = calloc(1, sizeof(*jobs));
	if (!jobs)
		abort();
	pthread_mutex_init(&jobs->mutex, NULL);
	jobs->host_id = format_string("%s", host_id);
	autoclosedir DIR *dir = opendir(JOBS_DIRECTORY);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (!spec_id_valid(entry->d_name))
			continue;
		struct job *job = job_new(jobs, entry->d_name);
		recall(job);
		job->next = jobs->first;
		jobs->first = job;
	}
	return jobs;
}

void jobs_set_hooks(struct jobs *jobs, const struct jobs_hooks *hooks, void *context)
{
	jobs->hooks = hooks;
	jobs->context = context;
	for (struct job *job = jobs->first; job; job = job->next)
		if (job->state != RELEASED)
			reconnect(job);
	struct error err = { 0 };
	if (job_start_room_watch(jobs, &err) < 0)
		log_error("%s", err.text);
}

void jobs_close(struct jobs *jobs)
{
	if (!jobs)
		return;
	job_stop_room_watch(jobs);
	for (struct job *job = jobs->first, *next; job; job = next) {
		next = job->next;
		jobs_lock(jobs);
		job->quitting = true;
		if (job->watch >= 0)
			shutdown(job->watch, SHUT_RDWR);
		jobs_unlock(jobs);
		job_join_watcher(job);
		job_close_files(job);
		layout_free(job->layout);
		spec_free(job->spec);
		json_object_put(job->exit);
		json_object_put(job->freeze);
		json_object_put(job->given_up);
		free(job->from);
		free(job->container);
		free(job->directory);
		pthread_mutex_destroy(&job->operation);
		pthread_rwlock_destroy(&job->files_lock);
		free(job);
	}
	pthread_mutex_destroy(&jobs->mutex);
	free(jobs->host_id);
	free(jobs);
}
