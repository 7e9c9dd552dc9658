/*
 * What agent/waits.h has seen of the threads that stand, for the criu that has stopped them: a mapping that both have, filled
 * by the keeper's watcher while criu reads it (agent/preload/again.c).
 */
#pragma once

#include <stdatomic.h>

#include "agent/again.h"

/* Its descriptor's number, in criu's environment. */
#define WAITS_SHARED_VARIABLE "FLOAT_WAITS"

enum { WAITS_SHARED_MAX = 4096 };

struct waits_shared {
	atomic_int count; /* of entries that are whole */
	struct waits_entry {
		pid_t thread; /* as criu sees it */
		struct wait wait;
	} entries[WAITS_SHARED_MAX];
};
