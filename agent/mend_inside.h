/* Within agent/mend.c: what it does to the images of tasks and threads. */
#pragma once

#include <sys/types.h>

#include "agent/protobuf.h"
#include "agent/waits.h"

struct mending {
	int directory;
	const struct waits *waits;
	pid_t id; /* the number in the image's name */
};

/* A task's or thread's record as it should be; false when it is to stay as it is. */
bool mend_core(const struct mending *mending, struct span core, struct buffer *mended);
