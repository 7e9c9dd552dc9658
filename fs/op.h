/*
 * Operations: what takes several steps, each recorded before it is taken (DESIGN section 5). An operation is
 * a table of steps; the engine runs them in order in a thread of its own, and after a restart of floatfs goes
 * on where the record says. A step that fails undoes itself and those before it, last first, unless the
 * operation has passed its point of no return: then it is tried again.
 */
#pragma once

#include "fs/job.h"

struct op_step {
	const char *name;
	/* Takes the step; may be called again after it was taken, or half taken. */
	int (*run)(struct job *job, struct error *err);
	/* Takes it back, wherever it stopped; must reach an end, and says in the log what it could not do.
	 * NULL: nothing to take back. */
	void (*undo)(struct job *job);
	/* Whether it is seen to be done already, asked when an operation is taken up again. NULL: just run it
	 * again. */
	bool (*done)(struct job *job);
	/* The agents carry it out between themselves; theirs is the word whether it can be taken back. */
	bool frozen;
	/* From this step on the operation is never undone. */
	bool final;
};

struct op_table {
	const char *name;
	const struct op_step *steps;
	size_t count;
	/* A cancel that comes in undoes it (otherwise it waits for its end). */
	bool cancellable;
	/* It stands beside the job's life: it works on a job that has ended, whose status it leaves alone, and it
	 * does not outlive the daemon: when that stops, or is started again after it was killed, it is undone. */
	bool aside;
	/* It may begin with a job that has ended, which goes on. */
	bool revives;
	/* An abort (record.op.abort) that comes in before a step is taken undoes it. */
	bool abortable;
	/* After all steps, or after everything was undone for the reason in record.op.reason; without
	 * fs->lock. They may be called again. Return the status that the job has from now on. */
	const char *(*finish)(struct job *job);
	const char *(*fail)(struct job *job);
};

/* All of them; NULL-terminated. */
extern const struct op_table *const op_tables[];

/* The reason of what was undone because of an abort. */
#define OP_ABORTED "aborted"

extern const struct op_table op_start;      /* op_start.c */
extern const struct op_table op_migrate;    /* op_migrate.c */
extern const struct op_table op_suspend;    /* op_suspend.c */
extern const struct op_table op_resume;     /* op_resume.c */
extern const struct op_table op_recover;    /* op_resume.c, op_recover.h */
extern const struct op_table op_rerun;      /* op_start.c, op_recover.h */
extern const struct op_table op_checkpoint; /* op_checkpoint.c */
extern const struct op_table op_cancel;     /* op_end.c */
extern const struct op_table op_end;        /* op_end.c */
extern const struct op_table op_files;      /* op_files.c */

/*
 * Begin an operation: record.op's parameters in `op`, the status that shows while it runs (NULL: as it is). Returns once it is
 * recorded and its thread runs. -EBUSY when another is under way.
 */
int op_begin(struct job *job, const struct op_table *table, const struct record_op *op, const char *status,
	     struct error *err);

/*
 * Mark a migration as to be taken back, durably. The record is as it was then; *frozen: it is in a frozen
 * step. -EOPNOTSUPP when there is none, or it is over but for giving back the old host. op_go_on withdraws
 * it.
 */
int op_abort(struct job *job, struct record *record, bool *frozen, struct error *err);
void op_go_on(struct job *job);

/* For finish and fail: the job is suspended now, and ends if a cancel came in meanwhile. */
const char *op_suspended(struct job *job);
/* A job with no process left has nothing to be asked for: its cancel is its end. fs->lock is held. */
void op_cancel_suspended_locked(struct job *job);

/* Begin whatever is due for the job: to follow it, an operation that was cut off, its end, a cancel, a host for its files. Never
 * fails: says so in the log. */
void op_settle(struct job *job);

/* For steps: write the record, however long the disk takes. false when the daemon is stopping. */
bool op_save(struct job *job);
/* The same: longer each time that it failed before; a cancel ends it. */
void op_pause(struct job *job, int64_t failures);
/* For steps that wait: -ECANCELED when a cancel or an abort came in that undoes the operation. */
int op_check_wanted(struct job *job, struct error *err);
