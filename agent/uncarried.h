/*
 * What criu would lose without a word, or would refuse only after the freeze, found in the running job right before it:
 * eventfds that are semaphores, events that nobody has read yet, connections that nobody has accepted yet.
 *
 * A window remains, the 20 ms or so from the look to the moment when criu has stopped the last task: an eventfd that is
 * made a semaphore in it comes back as a plain one, and an inotify event that arrives in it may be lost. Not so for
 * connections: criu sees those in a listener's queue itself, and the others can still be seen after the dump.
 *
 * The caller lives in the job's network namespace.
 */
#pragma once

#include "agent/spec.h"

/*
 * 0: nothing was found. -EAGAIN: what was found passes by itself as the job runs on. -EIO: it stays. A sentence tells it
 * for the person whose job it is.
 */
int uncarried_look(const struct spec *spec, struct error *err);

/*
 * After a dump: connections that have no descriptor, so that the image does not have them, but their other ends. They are
 * in this host's network namespace still: if the job is restored here, nothing is lost. 0, -EAGAIN, or another error.
 */
int uncarried_look_again(const struct spec *spec, struct error *err);
