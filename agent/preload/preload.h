/* Between the functions that are preloaded into criu's dump: criu has one thread. */
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include "agent/dump_shared.h"

/* libc's. */
extern long (*preload_ptrace)(enum __ptrace_request request, ...);
/* With the keeper; NULL: there is none. */
extern struct dump_shared *preload_shared;

/* After criu's PTRACE_PEEKSIGINFO: it has read so many signals; negative: none. errno is left alone. */
void late_note(pid_t thread, const struct __ptrace_peeksiginfo_args *arguments, long read);

/* Before criu's call. */
void again_note(enum __ptrace_request request, pid_t thread);
