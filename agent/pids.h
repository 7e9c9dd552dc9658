/*
 * Where a pid namespace is in handing out process ids. After a restore it would begin with the lowest that is free, so that
 * ids of processes that have just ended come back at once; a shell then does not know the child any more that had it.
 *
 * Any thread may call these.
 */
#pragma once

#include <sys/types.h>

/* The last id given in the pid namespace of that process, or -errno. */
int pids_last(pid_t pid);

/* Goes on some ids behind that one: as many as may have been given since it was read. */
int pids_go_on(pid_t pid, int last);
