/*
 * What the keeper and the criu that it has started to dump the job tell each other meanwhile: a mapping that both have
 * (agent/preload/).
 */
#pragma once

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "agent/again.h"

/* Its descriptor's number, in criu's environment. */
#define DUMP_SHARED_VARIABLE "FLOAT_DUMP"

enum { DUMP_WAITS_MAX = 4096, DUMP_LATE_MAX = 1024 };

struct dump_shared {
	/* To criu: what agent/waits.h has seen of the threads that stand, filled while criu reads it. */
	atomic_int waits_count; /* of those that are whole */
	struct dump_wait {
		pid_t thread; /* as criu sees it */
		struct wait wait;
	} waits[DUMP_WAITS_MAX];
	/* From criu: signals that came after it had read the queue which they are in, in their order; a dump that has ended. */
	int late_count, late_lost; /* those that found no room here */
	struct dump_late {
		pid_t thread; /* as the job sees it */
		bool shared;  /* in the queue of its task, whose first thread it is */
		siginfo_t info;
	} late[DUMP_LATE_MAX];
};
