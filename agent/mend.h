/*
 * What criu does not carry as it should, set right in the image that it has written, before anything reads it:
 *
 * - Calls that the freeze has interrupted (agent/calls.h). The kernel would restart them, with the time that is left; criu lets
 *   them end with EINTR, which no signal handler explains and many programs take for an error (poll, nanosleep, a futex). So do
 *   calls that the kernel ends with EINTR whenever a task is stopped (epoll_wait, semop, sigtimedwait, reads of the job's own
 *   /float). They are made to be made again; EINTR stays where a signal waits for the task that ends its call.
 *   What is left of a time limit:
 *   - of points of time, and of select, pselect, ppoll and a nanosleep that asks for the rest, exactly what is left: the kernel
 *     has it, or has written it down;
 *   - of the rest (poll, epoll_wait, nanosleep, a futex, semtimedop, sigtimedwait, io_getevents) what agent/waits.h knows: never
 *     less than what is left. The register of the limit is another when such a call returns, and an address is one of 16 bytes
 *     below the red zone of the stack: no calling convention keeps that register;
 *   - where that does not know it, and of SO_RCVTIMEO and SO_SNDTIMEO, it starts anew.
 *   A call that had been interrupted before (restart_syscall) is made again if agent/waits.h knows which it was. Those that
 *   criu makes again itself (pause, select) end with EINTR where a signal waits for the task.
 * - Signals that came while the task was dumped, as of a timer that ended then (agent/preload/late.c).
 * - timerfds: one that has expired and was not read comes back disarmed, one with an absolute time as if that time had come.
 *
 * Any thread may call it.
 */
#pragma once

#include "agent/waits.h"
#include "lib/error.h"

/* directory: criu's images, of a dump that has succeeded; waits as it was watched, or NULL. */
int mend_image(const char *directory, const struct waits *waits, struct error *err);
