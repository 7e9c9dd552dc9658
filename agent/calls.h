/*
 * System calls that stopping a task may end with EINTR without a signal's having to do with it, and where they have their time
 * limit. x86-64; on others none is known. signal(7), and the kernel's source.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { CALL_ARGUMENTS = 6 };

#ifdef SYS_poll
enum { CALL_POLL = SYS_poll };
#else
enum { CALL_POLL = SYS_ppoll };
#endif

enum call_limit {
	CALL_LIMIT_NONE, /* none, or until a point of time, or the kernel itself writes down what is left */
	CALL_LIMIT_MS,   /* an int of milliseconds; negative: none */
	CALL_LIMIT_TIME, /* the address of a struct timespec; NULL: none */
};

struct call {
	long number;
	enum call_limit limit;
	int at;   /* which argument the limit is, from 0 */
	int rest; /* the address where the kernel has put what is left; 0: it does not */
};

/* NULL: its EINTR stands. Static. */
const struct call *call_find(long number);

/* Does this one, with these arguments, end after a span of time? */
bool call_has_limit(const struct call *call, const uint64_t arguments[CALL_ARGUMENTS]);
