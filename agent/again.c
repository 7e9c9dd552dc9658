#include "agent/again.h"

#include <string.h>
#include <time.h>

enum { RED_ZONE = 128, NS_OF_MS = 1000000, NS_OF_S = 1000000000 };

/* Was it seen in this very call? A call that goes on after a stop is another by its number only. */
static bool is_same_call(const struct wait *wait, const struct again *registers)
{
	return (registers->number == SYS_restart_syscall || registers->number == wait->number) &&
	       wait->sp == registers->sp && wait->ip == registers->ip &&
	       memcmp(wait->arguments, registers->arguments, sizeof(wait->arguments)) == 0;
}

/* Its limit is to be what is left of it, where that is known. */
static void set_limit(struct again *registers, const struct call *call, const struct wait *wait,
		      again_write *write, void *context)
{
	uint64_t *limit = &registers->arguments[call->at];
	/* The kernel has written down what is left. */
	if (call->rest && registers->arguments[call->rest] != 0) {
		*limit = registers->arguments[call->rest];
		return;
	}
	if (!wait || wait->left_ns < 0)
		return;
	int64_t left = wait->left_ns;
	if (call->limit == CALL_LIMIT_MS) {
		*limit = (uint64_t)((left + NS_OF_MS - 1) / NS_OF_MS);
		return;
	}
	struct timespec time = { .tv_sec = left / NS_OF_S, .tv_nsec = left % NS_OF_S };
	uint64_t place = (registers->sp - RED_ZONE - sizeof(time)) & ~(uint64_t)15;
	if (write(context, place, &time, sizeof(time)))
		*limit = place;
}

bool again_make(struct again *registers, const struct wait *wait, again_write *write, void *context)
{
	if (wait && !is_same_call(wait, registers))
		wait = NULL;
	const struct call *call = call_find(
	    registers->number == SYS_restart_syscall && wait ? wait->number : (long)registers->number);
	if (!call)
		return false;
	if (call_has_limit(call, registers->arguments))
		set_limit(registers, call, wait, write, context);
	registers->ip -= AGAIN_CALL_LENGTH;
	registers->result = call->number;
	return true;
}
