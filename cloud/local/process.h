/* Which process a number means. Any thread may call this. */
#pragma once

#include <sys/types.h>

/* The start time of a process in clock ticks since the machine's boot: with it a number is never another
 * process's. */
int process_start_time(pid_t pid, long long *ticks);
