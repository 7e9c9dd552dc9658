/*
 * The log directories of the jobs that run here, and who looks at them: a watcher thread (libinotifytools)
 * rings whenever something was written, streams come and read. The job is hostile and its volume leaves with
 * little notice: nobody holds anything open on it but between logs_enter and logs_leave.
 *
 * Any thread may call these. libinotifytools' global state belongs to the watcher thread alone. `lock` guards
 * the list of directories and their state; each directory's `busy` lock is held by whoever has descriptors on
 * it.
 */
#pragma once

#include <stdbool.h>

#include "lib/error.h"

struct logs;

/* ring is called without a lock whenever there may be something new of that job; rings may come for nothing.
 */
struct logs *logs_start(void (*ring)(void *context, const char *id), void *context, struct error *err);
void logs_stop(struct logs *logs);

/* The directory is there and the job writes to it. Again with another directory is allowed after a close. */
void logs_open(struct logs *logs, const char *id, const char *directory);
/* Returns when no descriptor and no watch is left on it. Not open: does nothing. */
void logs_close(struct logs *logs, const char *id);
/* logs_close, and nothing is known of that job any more. */
void logs_forget(struct logs *logs, const char *id);

enum logs_state {
	LOGS_NEVER, /* not opened since the agent started */
	LOGS_OPEN,
	LOGS_CLOSED,
};

struct logs_visit {
	struct log_root *owner;
	int root;         /* O_PATH of the directory */
	const bool *stop; /* leave soon when it is true */
};

/* With LOGS_OPEN the visit must be ended by logs_leave, soon: logs_close waits for it inside a freeze. */
enum logs_state logs_enter(struct logs *logs, const char *id, struct logs_visit *visit);
void logs_leave(struct logs *logs, struct logs_visit *visit);
