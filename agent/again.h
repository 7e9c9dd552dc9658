/*
 * Making a call again that a freeze has interrupted (agent/calls.h), with what is left of its time limit: where, the caller
 * knows — in criu's image (agent/mend.h), or in a task that criu lets go of after a dump that failed
 * (agent/preload/again.c). x86-64; on others no call is known.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/calls.h"

/* Of the instruction that makes a call: the registers point behind it. */
enum { AGAIN_CALL_LENGTH = 2 };

/* A thread's call that was seen from outside, while it stood in it: agent/waits.h. */
struct wait {
	pid_t task, thread; /* as the job sees them */
	long number;
	uint64_t arguments[CALL_ARGUMENTS], sp, ip;
	int64_t left_ns; /* at least, when it was frozen; -1: not known */
};

/* The registers of a thread that was interrupted. */
struct again {
	int64_t number, result; /* orig_ax, ax */
	uint64_t ip, sp, arguments[CALL_ARGUMENTS];
};

/* Writes to the memory of the thread's task; false when that cannot be. */
typedef bool again_write(void *context, uint64_t address, const void *data, size_t length);

/*
 * Set the registers so that the call is made again; false where it is not known which it was, or its end stands: they are left
 * alone. wait: what was seen of the thread, of whatever call, or NULL.
 */
bool again_make(struct again *registers, const struct wait *wait, again_write *write, void *context);
