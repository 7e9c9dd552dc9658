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

/*
 * The part of the core that is of the task: of a thread that is not its task's first, from that one's image, which is read into
 * *data (the caller frees it). Empty: it is not known.
 */
struct span mend_task(const struct mending *mending, struct span core, unsigned char **data);

/* With the signals that came while it was dumped; false when there are none. */
bool mend_signals(const struct mending *mending, struct span core, struct buffer *mended);
/* With the calls that the freeze has interrupted; false when there are none. */
bool mend_calls(const struct mending *mending, struct span core, struct buffer *mended);
