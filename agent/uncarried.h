/*
 * What criu would lose without a word, or would refuse only after the freeze, found in the running job right before it:
 * eventfds that are semaphores, events that nobody has read yet, connections that nobody has accepted yet.
 *
 * A window remains, the 20 ms or so from the look to the moment when criu has stopped the last task: an eventfd that is
 * made a semaphore's in it comes back as a plain one, an inotify event that arrives in it may be lost, and so may a TCP
 * connection whose listener's queue becomes full in it (the client is connected then, the server's end is half open).
 * Connections in a listener's queue are seen by criu as well.
 *
 * The caller lives in the job's network namespace.
 */
#pragma once

#include "lib/error.h"

/*
 * 0: nothing was found. -EAGAIN: what was found passes by itself as the job runs on. -EIO: it stays. A sentence tells it
 * for the person whose job it is.
 */
int uncarried_look(struct error *err);
