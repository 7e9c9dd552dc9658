/* Within agent/mend.c: what it does to the images of tasks and threads. */
#pragma once

#include <stdbool.h>

#include <sys/types.h>

#include "agent/protobuf.h"
#include "agent/waits.h"

struct mending {
	int directory;
	const struct waits *waits;
	pid_t id; /* the number in the image's name */
};

/* The numbers of fields: images/core.proto and siginfo.proto of criu's source. */
enum {
	CORE_THREAD_INFO = 2,
	CORE_TASK = 3,
	CORE_THREAD = 5,
	TASK_BLOCKED = 5,
	TASK_SIGNALS = 10,
	TASK_ACTIONS = 15,
	THREAD_BLOCKED = 6,
	THREAD_SIGNALS = 9,
	QUEUE_SIGNALS = 1,
};

/* With the signals that came while it was dumped; false when there are none. */
bool mend_signals(const struct mending *mending, struct span core, struct buffer *mended);
/* With the calls that the freeze has interrupted; false when there are none. */
bool mend_calls(const struct mending *mending, struct span core, struct buffer *mended);
