/*
 * Snapshots make room for their job: one thread looks at the volumes of the jobs that run here and have some, and gives
 * up the oldest of a job whose volumes get short of room.
 */
#include <errno.h>
#include <string.h>

#include "agent/job_state.h"
#include "agent/snapshots.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"

enum { LOOK_MS = 200, FREED_MS = 1000 /* until what was given up is room again */ };

void job_note_snapshots(struct job *job)
{
	json_object *names = snapshots_list(job->layout);
	jobs_lock(job->jobs);
	job->snapshots = names ? json_object_array_length(names) : 0;
	jobs_unlock(job->jobs);
	json_object_put(names);
}

json_object *jobs_given_up(struct jobs *jobs, const char *id, size_t from)
{
	json_object *names = NULL;
	jobs_lock(jobs);
	struct job *job = job_find(jobs, id);
	size_t count = job && job->given_up ? json_object_array_length(job->given_up) : 0;
	for (size_t i = from; i < count; i++) {
		if (!names)
			names = json_object_new_array();
		const char *name = json_object_get_string(json_object_array_get_idx(job->given_up, i));
		json_object_array_add(names, json_object_new_string(name));
	}
	jobs_unlock(jobs);
	return names;
}

/* Its operation lock is held. True: some room will be there soon. */
static bool give_up_oldest(struct job *job)
{
	struct error err = { 0 };
	autojson json_object *names = snapshots_list(job->layout);
	if (!names || json_object_array_length(names) == 0)
		return false;
	autojson json_object *oldest = json_object_get(json_object_array_get_idx(names, 0));
	json_object_array_del_idx(names, 0, 1);
	if (snapshots_tidy(job->layout, names, &err) < 0) {
		log_warning("job %s: %s", job->id, err.text);
		return false;
	}
	jobs_lock(job->jobs);
	if (!job->given_up)
		job->given_up = json_object_new_array();
	json_object_array_add(job->given_up, json_object_new_string(json_object_get_string(oldest)));
	job->snapshots = json_object_array_length(names);
	job_write_state(job);
	jobs_unlock(job->jobs);
	log_info("job %s: snapshot %s was given up for want of room", job->id,
		 json_object_get_string(oldest));
	job_tell_changed(job);
	return true;
}

static bool look_at(struct job *job)
{
	jobs_lock(job->jobs);
	bool some = job->state == RUNNING && job->snapshots > 0;
	jobs_unlock(job->jobs);
	/* An operation at work has its mounts; it is looked at after that. */
	if (!some || pthread_mutex_trylock(&job->operation) != 0)
		return false;
	bool given_up =
	    job_get_state(job) == RUNNING && snapshots_room_is_short(job->layout) && give_up_oldest(job);
	pthread_mutex_unlock(&job->operation);
	return given_up;
}

/* With the mutex held; false when the agent ends. */
static bool pause_for(struct jobs *jobs, int ms)
{
	struct timespec until = clock_monotonic_in(ms);
	while (!jobs->closing &&
	       pthread_cond_clockwait(&jobs->closing_cond, &jobs->mutex, CLOCK_MONOTONIC, &until) == 0)
		;
	return !jobs->closing;
}

static void *watch_room(void *argument)
{
	struct jobs *jobs = argument;
	bool given_up = false;
	jobs_lock(jobs);
	while (pause_for(jobs, given_up ? FREED_MS : LOOK_MS)) {
		struct job *job = jobs->first;
		jobs_unlock(jobs);
		/* Jobs stay in the list; new ones come before its first. */
		given_up = false;
		for (; job; job = job->next)
			given_up |= look_at(job);
		jobs_lock(jobs);
	}
	jobs_unlock(jobs);
	return NULL;
}

int job_start_room_watch(struct jobs *jobs, struct error *err)
{
	pthread_cond_init(&jobs->closing_cond, NULL);
	int code = pthread_create(&jobs->room_watcher, NULL, watch_room, jobs);
	jobs->watches_room = code == 0;
	return code ? error_sys(err, code, "cannot start a thread for the volumes' room") : 0;
}

void job_stop_room_watch(struct jobs *jobs)
{
	jobs_lock(jobs);
	jobs->closing = true;
	pthread_cond_signal(&jobs->closing_cond);
	jobs_unlock(jobs);
	if (jobs->watches_room)
		pthread_join(jobs->room_watcher, NULL);
	pthread_cond_destroy(&jobs->closing_cond);
}
