/*
 * What criu does not carry as it should, set right in the image that it has written, before anything reads it:
 *
 * - Calls that the freeze has interrupted. The kernel would restart them, with the time that is left; criu lets them end
 *   with EINTR, which no signal handler explains and many programs take for an error (poll, nanosleep, a futex). So do calls
 *   that the kernel ends with EINTR whenever a task is stopped (epoll_wait, semop, msgrcv, sigtimedwait). They are made to
 *   be made again: a relative time limit then starts anew.
 * - timerfds: one that has expired and was not read comes back disarmed, one with an absolute time as if that time had come.
 *
 * Any thread may call it.
 */
#pragma once

#include "lib/error.h"

/* directory: criu's images, of a dump that has succeeded. */
int mend_image(const char *directory, struct error *err);
