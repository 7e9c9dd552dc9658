#include "agent/calls.h"

#include <linux/futex.h>
#include <stddef.h>

#include "lib/cleanup.h"

#ifdef __x86_64__
static const struct call calls[] = {
	/* These the kernel would restart, with what is left: ERESTART_RESTARTBLOCK. */
	{ SYS_nanosleep, CALL_LIMIT_TIME, 0, 1 },
	{ SYS_clock_nanosleep, CALL_LIMIT_TIME, 2, 3 },
	{ SYS_poll, CALL_LIMIT_MS, 2, 0 },
	{ SYS_futex, CALL_LIMIT_TIME, 3, 0 },
	/* These end with EINTR, whatever it was that woke them. */
	{ SYS_epoll_wait, CALL_LIMIT_MS, 3, 0 },
	{ SYS_epoll_pwait, CALL_LIMIT_MS, 3, 0 },
	{ SYS_epoll_pwait2, CALL_LIMIT_TIME, 3, 0 },
	{ SYS_semop, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_semtimedop, CALL_LIMIT_TIME, 3, 0 },
	{ SYS_msgrcv, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_msgsnd, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_rt_sigtimedwait, CALL_LIMIT_TIME, 2, 0 },
	{ SYS_io_getevents, CALL_LIMIT_TIME, 4, 0 },
	/* The kernel restarts them, unless what is left cannot be written to their time: it is a constant. */
	{ SYS_select, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_pselect6, CALL_LIMIT_TIME, 4, 0 },
	{ SYS_ppoll, CALL_LIMIT_TIME, 2, 0 },
	/* Of a socket with SO_RCVTIMEO or SO_SNDTIMEO. Nothing was sent, or that would be what it returns. */
	{ SYS_recvfrom, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_recvmsg, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_recvmmsg, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_accept, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_accept4, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_connect, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_sendto, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_sendmsg, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_sendmmsg, CALL_LIMIT_NONE, 0, 0 },
	/* Of such a socket, or in the job's own /float. A write there may be a command that was taken: not again. */
	{ SYS_read, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_readv, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_pread64, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_preadv, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_preadv2, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_readlink, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_readlinkat, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_getdents64, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_stat, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_lstat, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_newfstatat, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_statx, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_open, CALL_LIMIT_NONE, 0, 0 },
	{ SYS_openat, CALL_LIMIT_NONE, 0, 0 },
	/* Of a memfd. */
	{ SYS_fallocate, CALL_LIMIT_NONE, 0, 0 },
};

const struct call *call_find(long number)
{
	for (size_t i = 0; i < array_length(calls); i++)
		if (calls[i].number == number)
			return &calls[i];
	return NULL;
}
#else
const struct call *call_find(long number)
{
	(void)number;
	return NULL;
}
#endif

bool call_has_limit(const struct call *call, const uint64_t arguments[CALL_ARGUMENTS])
{
	/* FUTEX_WAIT_BITSET and the others have points of time; clock_nanosleep with one is no EINTR. */
	if (call->number == SYS_futex &&
	    ((int)arguments[1] & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)) != FUTEX_WAIT)
		return false;
	if (call->limit == CALL_LIMIT_MS)
		return (int)arguments[call->at] >= 0;
	return call->limit == CALL_LIMIT_TIME && arguments[call->at] != 0;
}
