/*
 * The frozen section: a job leaves this host (A) or comes to it (B), or stands for a snapshot of it. Each is a table of
 * named steps, done in order and timed; when one fails, those begun are undone in reverse. A step that "faults" names
 * ("dump:error") fails instead of being done.
 *
 * The caller holds the job's operation lock. Nothing here knows of requests or of the job's recorded state.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/job.h"
#include "agent/layout.h"

struct frozen {
	/* Given; all borrowed. */
	const char *id;
	int64_t epoch;
	struct layout *layout;
	const struct jobs_hooks *hooks;
	void *context;
	json_object *to;      /* where to; NULL: to nowhere, the job ends up as an image (A only) */
	json_object *faults;  /* array of strings, or NULL */
	const char *snapshot; /* the one to be taken; B: the one that it is taken back to; or NULL */
	bool undo_snapshot;   /* B: it may have been taken back to one, and is not to be */
	int deadline_ms;      /* of the frozen part; 0: a minute */
	/*
	 * Called right before B is asked to adopt: from then on this host never takes the job up by itself (A
	 * only). -ECANCELED: somebody wants it to stay; aborted tells that earlier (A only).
	 */
	int (*handing_over)(void *job);
	bool (*aborted)(void *job);
	void *job;

	/* Found. */
	int64_t deadline; /* monotonic ms, from the freeze on */
	int64_t freeze_ns, dumped_ns, released_ns, mounted_ns, thaw_ns;
	int64_t closed;      /* connections to the outside that are no more, on failure too */
	int64_t image_bytes; /* of the process image of a snapshot */
	int64_t waited_ns;   /* A: until a dump was not refused any more, and what the last one was for */
	struct error waited_for;
	bool gone;          /* A: the tasks are not running here */
	bool handed;        /* A: B was or may have been asked */
	json_object *steps; /* array of {"name", "ns"}; frozen_clear puts */
	json_object *adopt; /* B's answer; frozen_clear puts */
};

/* A: dump, let go of the volumes, hand over. On failure `gone` tells whether the job is still here, running.
 */
int frozen_leave(struct frozen *frozen, struct error *err);

/* The job goes on here, with a snapshot on its volumes and its image on the process volume. On failure as frozen_leave. */
int frozen_checkpoint(struct frozen *frozen, struct error *err);

/* B (or A again): mount and restore. On failure everything is unmounted again. */
int frozen_enter(struct frozen *frozen, struct error *err);

void frozen_clear(struct frozen *frozen);
