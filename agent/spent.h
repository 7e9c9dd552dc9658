/*
 * A process image is good for one time: once the job may have gone on from it, the volumes are not of its instant any more. So
 * that is noted in it, durably, when everything is restored and before the tasks run (agent/preload_restore/): whoever comes
 * later, on whatever host, must not begin there again. The image of a snapshot, which has volumes of its own, is never spent.
 */
#pragma once

#include "lib/error.h"

/* In criu's environment: the files that it writes last, and that is to be there before it. */
#define SPENT_PIDFILE "FLOAT_PIDFILE"
#define SPENT_NOTE    "FLOAT_SPENT"

struct layout;

/* The file that says so. Caller frees. */
char *spent_path(const struct layout *layout);
/* -EOWNERDEAD when it is. */
int spent_check(const struct layout *layout, struct error *err);
