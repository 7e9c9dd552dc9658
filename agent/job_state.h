/*
 * What job.c, job_move.c and job_list.c share: a job's state in memory and in its directory, the wait for its
 * end, and how an operation finds and locks it. Nobody else includes this.
 *
 * jobs->mutex guards the list and what is said below; functions that want it held say so. A job's operation
 * lock is held through an operation and guards spec and layout. Order: operation before mutex.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/files.h"
#include "agent/frozen.h"
#include "agent/job.h"
#include "agent/layout.h"
#include "agent/spec.h"

enum {
	JOB_DEVICE_WAIT_MS = 20000,
	JOB_UNMOUNT_MS = 5000,
	JOB_CALL_TIMEOUT_MS = 60000,
};

enum state { PREPARED, RUNNING, FROZEN, DUMPED, ENDED, RELEASED, OPEN };

/* Jobs stay in the list until jobs_close: a released one remembers its epoch. */
struct job {
	struct job *next;
	struct jobs *jobs;
	char id[SPEC_ID_MAX + 1];
	char *directory;
	pthread_mutex_t operation; /* one operation at a time; spec and layout are its holder's */
	struct spec *spec;         /* NULL: released */
	struct layout *layout;
	pthread_rwlock_t files_lock; /* read-held while files are asked; taken after operation */
	struct files *files;         /* of an OPEN job */

	/* Guarded by jobs->mutex. */
	int64_t epoch;
	enum state state;
	bool handed;     /* another host may have it */
	int64_t aborted; /* the epoch whose frozen section must not hand over; -1: none */
	char *from;      /* the host that may ask `adopt`; NULL: none */
	char *container;
	json_object *exit;
	json_object *freeze;   /* the last answer of float or adopt */
	size_t snapshots;      /* so many are on its volumes */
	json_object *given_up; /* array of their names: those that made room */
	bool keeper_lost;      /* and the job with it, as soon as it is said to run */
	bool quitting;         /* the keeper's going away is meant */
	int watch;             /* the connection on which the keeper tells the end; -1: none */
	bool watcher_joinable;
	pthread_t watcher;
};

struct jobs {
	pthread_mutex_t mutex; /* the list and what is said above; held for short */
	struct job *first;
	char *host_id;
	const struct jobs_hooks *hooks;
	void *context;
	pthread_t room_watcher; /* job_room.c */
	bool watches_room;
	pthread_cond_t closing_cond;
	bool closing; /* guarded by mutex */
};

static inline void jobs_lock(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->mutex);
}

static inline void jobs_unlock(struct jobs *jobs)
{
	pthread_mutex_unlock(&jobs->mutex);
}

static inline void job_unlock_operation_(struct job **job)
{
	if (*job)
		pthread_mutex_unlock(&(*job)->operation);
}

#define autooperation __attribute__((cleanup(job_unlock_operation_)))

const char *job_state_name(enum state state);
enum state job_state_of(const char *name);

/* DIRECTORY/name; caller frees. */
char *job_path(const struct job *job, const char *name);
/* What was put in may be added to by others: this is one's own; NULL stays NULL. */
json_object *job_copy(json_object *object);

/* With the mutex held: record it in state.json. */
int job_write_state(const struct job *job);
/* Records it and tells `changed`. A job that has ended meanwhile is `ended` instead of `running`. */
void job_set_state(struct job *job, enum state state);
/* The `changed` hook; no lock is held. */
void job_tell_changed(struct job *job);
enum state job_get_state(struct job *job);
void job_set_freeze(struct job *job, json_object *answer);
/* A copy of it, or of nothing. */
json_object *job_get_freeze(struct job *job);
/* A container's id of its own for each host that it runs on. */
void job_note_container(struct job *job);

/* The keeper is up and the wait for the job's end is on. */
int job_ensure_keeper(struct job *job, struct error *err);
/* A keeper that is up: wait for the end that it tells. */
int job_start_watching(struct job *job, struct error *err);
void job_join_watcher(struct job *job);

/* Not in the list yet. */
struct job *job_new(struct jobs *jobs, const char *id);
/* With the mutex held. */
struct job *job_find(struct jobs *jobs, const char *id);
/* The job, its epoch checked and recorded; made when create says so. */
int job_open(struct jobs *jobs, const char *id, int64_t epoch, bool create, struct job **found,
	     struct error *err);
/* As job_open, and takes the operation lock (autooperation gives it back); without create it is prepared. */
int job_begin(struct jobs *jobs, const char *id, int64_t epoch, bool create, struct job **locked,
	      struct error *err);

/* job.c: everything of it away from this host but the epoch. Its operation lock is held. */
int job_tear_down(struct job *job, struct error *err);

/* A job that is released gets its spec (taken) and the layout that goes with it. */
void job_set_spec(struct job *job, struct spec *spec);

/* The volume for process images is another one at each move. NULL: as it was. */
int job_set_process(struct job *job, const char *serial, struct error *err);

/* job_files.c: open them again after the agent was started anew; nothing of them stays open. */
int job_open_files(struct job *job, struct error *err);
void job_close_files(struct job *job);

/*
 * Of a running job: its process volume is the one of body, and it is `frozen` from here on. On a refusal answer says in
 * "job" where it is. And afterwards: what there is to tell goes into answer, and the job is what frozen says; frozen is
 * cleared.
 */
int job_begin_frozen(struct job *job, json_object *body, json_object *answer, struct error *err);
void job_end_frozen(struct job *job, struct frozen *frozen, int status, json_object *answer);

/* job_room.c: count the snapshots on its mounted volumes; its operation lock is held. */
void job_note_snapshots(struct job *job);
/* The thread that gives them up for want of room: from before the first operation until none is at work. */
int job_start_room_watch(struct jobs *jobs, struct error *err);
void job_stop_room_watch(struct jobs *jobs);

/* job_move.c: a frozen section of this job; body may be NULL. */
struct frozen job_new_frozen(struct job *job, int64_t epoch, json_object *body);
