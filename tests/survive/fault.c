/* Faults: threads that take SIGSEGV and SIGSYS all the time, as garbage collectors and sandboxes do: each once, with its facts. */
#include <pthread.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "tests/survive/seccomp.h"

/* Linux's asm-generic/siginfo.h, beside which libc's cannot be. */
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

enum { WRITERS = 3, PAGE = 4096, TRAPPED = SYS_getpgrp, TRAPPED_RESULT = 4711 };

static char *pages;
static volatile long writes[WRITERS], faults[WRITERS], calls, traps;
static volatile bool leave;

static void handle_fault(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	ptrdiff_t at = (char *)info->si_addr - pages;
	check(info->si_code == SEGV_ACCERR && at >= 0 && at < (ptrdiff_t)WRITERS * PAGE && at % PAGE == 8);
	faults[at / PAGE]++;
	check(mprotect(pages + at / PAGE * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
}

static void handle_trap(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	ucontext_t *user = context;
	check(info->si_code == SYS_SECCOMP && info->si_syscall == TRAPPED);
	traps++;
	user->uc_mcontext.gregs[REG_RAX] = TRAPPED_RESULT;
}

/* Now and then, as the other programs want the processors too. */
static void rest(long turn)
{
	if (turn % 64 == 0)
		survive_sleep_ms(5);
}

static void *write_always(void *argument)
{
	size_t i = (size_t)argument;
	while (!leave) {
		check(mprotect(pages + i * PAGE, PAGE, PROT_READ) == 0);
		*(volatile long *)(pages + i * PAGE + 8) = ++writes[i];
		check(faults[i] == writes[i] && *(volatile long *)(pages + i * PAGE + 8) == writes[i]);
		rest(writes[i]);
	}
	return NULL;
}

static void *trap_always(void *argument)
{
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	seccomp_answer(TRAPPED, SECCOMP_RET_TRAP);
	while (!leave) {
		calls++;
		check(syscall(TRAPPED) == TRAPPED_RESULT && traps == calls);
		rest(calls);
	}
	return argument;
}

int main(void)
{
	struct sigaction fault = { .sa_sigaction = handle_fault, .sa_flags = SA_SIGINFO },
			 trap = { .sa_sigaction = handle_trap, .sa_flags = SA_SIGINFO };
	pthread_t threads[WRITERS + 1];
	pages = mmap(NULL, (size_t)WRITERS * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(pages != MAP_FAILED);
	check(sigaction(SIGSEGV, &fault, NULL) == 0 && sigaction(SIGSYS, &trap, NULL) == 0);
	for (size_t i = 0; i < WRITERS; i++)
		check(pthread_create(&threads[i], NULL, write_always, (void *)i) == 0);
	check(pthread_create(&threads[WRITERS], NULL, trap_always, NULL) == 0);
	while (survive_moved()) {
		for (size_t i = 0; i < WRITERS; i++) {
			long before = faults[i];
			check_soon(faults[i] > before + 100);
		}
		long before = traps;
		check_soon(traps > before + 100);
	}
	leave = true;
	for (size_t i = 0; i <= WRITERS; i++)
		check(pthread_join(threads[i], NULL) == 0);
	survive_ok();
	return 0;
}
