/*
 * Preloaded into criu's dump and restore. A thread may stand still with the signal of a fault just queued for it: SIGSEGV, SIGSYS
 * and their like, which the JVM, garbage collectors and sandboxes live on. criu has threads run code of its own with all signals
 * blocked, up to a breakpoint; but as soon as that one's SIGTRAP may be delivered the kernel takes the first fault in the queue,
 * blocked or not (kernel/signal.c, dequeue_synchronous_signal), and criu gives up: "Unexpected task interruption", "Task is in
 * unexpected state". Told to deliver it the kernel sees that it is blocked and queues it again, behind the SIGTRAP
 * (ptrace_signal); there it stays, for the image or for when the thread runs. criu calls libc's wait4(), and finds this one.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static bool is_blocked(pid_t thread, int number)
{
	uint64_t mask;
	return ptrace(PTRACE_GETSIGMASK, thread, (void *)sizeof(mask), &mask) == 0 &&
	       (mask >> (number - 1) & 1);
}

/* Only faults have a positive si_code: the others are not delivered while they are blocked. */
static bool is_early_fault(pid_t thread, int status)
{
	siginfo_t info;
	if (!WIFSTOPPED(status) || status >> 16 != 0 || WSTOPSIG(status) == SIGTRAP)
		return false;
	return ptrace(PTRACE_GETSIGINFO, thread, NULL, &info) == 0 && info.si_code > 0 &&
	       info.si_signo == WSTOPSIG(status) && is_blocked(thread, info.si_signo);
}

pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	static pid_t (*libc_wait4)(pid_t, int *, int, struct rusage *);
	if (!libc_wait4)
		libc_wait4 = (pid_t(*)(pid_t, int *, int, struct rusage *))dlsym(RTLD_NEXT, "wait4");
	for (;;) {
		pid_t thread = libc_wait4(pid, status, options, usage);
		if (thread <= 0 || !status || !is_early_fault(thread, *status) ||
		    ptrace(PTRACE_CONT, thread, NULL, (void *)(intptr_t)WSTOPSIG(*status)) < 0)
			return thread;
	}
}
