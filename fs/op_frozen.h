/*
 * What the operations with a frozen section have in common: the volume for the process image, and where the job is
 * when an answer got lost. `host` and `address` are of the agent that is asked. All of it blocks: without fs->lock.
 */
#pragma once

#include <json-c/json.h>

#include "fs/op.h"

enum {
	OP_DEADMAN_MS = 60000,         /* after which A undoes the frozen section by itself */
	OP_FREEZE_TIMEOUT_MS = 180000, /* how long its answer is waited for */
};

/* A new volume, attached to the job's host, as record.op.process_volume. */
int op_process_volume_create(struct job *job, struct error *err);
/* Not needed any more: detached from the job's host and destroyed. */
void op_process_volume_drop(struct job *job);

/* A step's undo: the same, unless the job is suspended and has its image there. */
void op_process_volume_undo(struct job *job);

/* A step: the next epoch is the record's before any agent hears of it. */
int op_grant(struct job *job, struct error *err);

/* What an agent says of the job (JOB of agent/API.md), caller puts; NULL when it says nothing. */
json_object *op_ask(struct job *job, const char *host, const char *address);
/* For a while, if it does not answer and its host is there. NULL too when the daemon is stopping. */
json_object *op_ask_patiently(struct job *job, const char *host, const char *address);
/*
 * The same with a request that may come twice, of the epoch of now; the faults in its body are in the first only. answer may
 * be NULL, or points to a NULL.
 */
int op_call_patiently(struct job *job, const char *host, const char *address, const char *verb,
		      json_object *body, json_object **answer, struct error *err);
/* Whether the job is there; state may be NULL. */
bool op_runs_there(json_object *state);
/* Nothing of it is left there, and its volumes are free; a host that does not answer is destroyed all the same. */
void op_release(struct job *job, const char *host, const char *address);

/*
 * A step's undo: the job goes on where it was, unless it runs there already. Nobody else has it, nor will. If it
 * cannot go on, record.op.suspended is set; if its host is gone, record.lost.
 */
void op_undo_freeze(struct job *job);

/* For finish: the job runs, and ends if a cancel came in meanwhile. */
const char *op_goes_on(struct job *job);
/* For fail of an operation with a frozen section, when it is undone: where the job is, as words for a person, and its status. */
const char *op_where_left(const struct record *record);
const char *op_leave(struct job *job);
/* For fail of an operation by that name which leaves the job where it was. */
const char *op_freeze_failed(struct job *job, const char *what);

/* Keep what the agents measured, until it is told; adopt may be NULL. offset_ns: B's clock less A's. */
void op_note_freeze(struct job *job, json_object *freeze, json_object *adopt, int64_t offset_ns);
/* ", frozen for D", where that is known: an agent that was killed in between does not know it. */
enum { OP_FREEZE_TEXT = 60 };
void op_format_freeze(const struct record *record, int64_t ns, char text[OP_FREEZE_TEXT]);
/* The events of what A did within the frozen section, with the times that it took. */
void op_tell_dump(struct job *job, const char *host);
