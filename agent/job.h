/*
 * The jobs on this host (at most a few): the operations of API.md, and what lies in /run/float/jobs/ID/.
 *
 * Any thread may call anything here. One mutex in `struct jobs` guards the list and each job's visible state
 * and is never held across an operation; each job has a lock of its own that its operations take one after
 * the other (stop, signal and abort do not take it: they work while another operation is under way).
 *
 * Every operation checks the epoch first (ESTALE) and is safe to repeat. body may be NULL where API.md has no
 * member that must be there; it is borrowed. *answer is the caller's to put, on failure too: then it is NULL
 * or holds members to be added to the refusal (float: "job").
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

#define JOBS_DIRECTORY "/run/float/jobs"

struct jobs;

/*
 * What the rest of the agent gives. No lock is held when a hook is called, but the job's own operation lock
 * may be: a hook must not call an operation for the same job (jobs_exit and the jobs_describe family are
 * fine).
 */
struct jobs_hooks {
	/* The job's directory is there; its keeper is about to be started: listen on DIRECTORY/ask.sock. May
	   come again for a job that is known already. */
	void (*prepared)(void *context, const char *id, const char *directory);
	/* The job is released: nothing of it may stay open. Also called for a prepare that failed. */
	void (*released)(void *context, const char *id);
	/* The log subvolume is mounted at log_dir and the job is about to run here (start), or runs here
	   again (a restore: called after the thaw; and once for each job that jobs_set_hooks finds), or
	   stands as an image whose log can be read. May come again. */
	void (*logs_open)(void *context, const char *id, const char *log_dir);
	/* Must return with no descriptor or watch left on the volume: it is unmounted next. Tasks are
	   stopped: be fast. May come without an open before. */
	void (*logs_close)(void *context, const char *id);
	/* State or exit changed: wake the streams. */
	void (*changed)(void *context, const char *id);
	/* Open a connection to another agent before the freeze. `to` is {"host", "address", "port"}. */
	int (*warm_peer)(void *context, json_object *to, const char *id, struct error *err);
	/*
	 * POST /v1/jobs/ID/adopt to that agent. -ECONNREFUSED and -EHOSTUNREACH mean that the request was not
	 * sent for certain: then the job goes on here. Any other failure leaves it `dumped`.
	 */
	int (*adopt_peer)(void *context, json_object *to, const char *id, int64_t epoch, json_object *body,
			  json_object **answer, struct error *err);
};

/*
 * Finds again what an earlier agent process left in JOBS_DIRECTORY; takes up an interrupted frozen section.
 * NULL with err set when the directory cannot be made.
 */
struct jobs *jobs_open(const char *host_id, struct error *err);

/* Once, before any operation. The table and what context points to must outlive jobs. */
void jobs_set_hooks(struct jobs *jobs, const struct jobs_hooks *hooks, void *context);

/* Forgets the memory only: jobs and keepers go on. */
void jobs_close(struct jobs *jobs);

/* The program of the keeper: main() calls it for `float-agent keeper DIRECTORY`. Does not return to a job's
 * life. */
int keeper_main(int argc, char **argv);

typedef int jobs_operation(struct jobs *jobs, const char *id, int64_t epoch, json_object *body,
			   json_object **answer, struct error *err);

jobs_operation jobs_prepare;
jobs_operation jobs_start;
jobs_operation jobs_float;
jobs_operation jobs_adopt;
jobs_operation jobs_dump;
jobs_operation jobs_checkpoint;
jobs_operation jobs_tidy;
jobs_operation jobs_stop;
jobs_operation jobs_signal;
jobs_operation jobs_abort;
jobs_operation jobs_release;
/* An ended job's volumes, to be looked at (files.h): no keeper, no image; release ends it. */
jobs_operation jobs_show;
jobs_operation jobs_files;
/* POST read; *data is the caller's to free. */
int jobs_read(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, void **data,
	      size_t *length, struct error *err);

/*
 * 0, or -ESTALE when this host has seen a higher epoch of that job; a higher one is recorded. -ENOENT: this
 * host knows nothing of the job (never said by prepare). -EINVAL: id is no job id. Inside each operation
 * already; for requests that do not come here (stream, answer).
 */
int jobs_check_epoch(struct jobs *jobs, const char *id, int64_t epoch, struct error *err);

/* May the host named `peer` ask `adopt` and GET of this job? prepare's "from" said so. */
bool jobs_peer_allowed(struct jobs *jobs, const char *id, const char *peer);

/* The "jobs" array of GET /v1/state; caller puts. */
json_object *jobs_describe(struct jobs *jobs);
/* NULL: no such job; caller puts. */
json_object *jobs_describe_one(struct jobs *jobs, const char *id);

/* True when it has ended: *exit is {"code": N} or {"signal": N}, caller puts. Never blocks. */
bool jobs_exit(struct jobs *jobs, const char *id, json_object **exit);
/* Names of snapshots that were given up for want of room, from the from-th on; NULL: no more. Caller puts. */
json_object *jobs_given_up(struct jobs *jobs, const char *id, size_t from);
/* Whether it stands as an image here (state `dumped`). Never blocks. */
bool jobs_dumped(struct jobs *jobs, const char *id);
/* Whether the job's tasks run here now (state `running`). Never blocks. */
bool jobs_running(struct jobs *jobs, const char *id);
