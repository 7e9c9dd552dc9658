/* Signal handlers with their flags, masks and alternate stack; ignored signals; a handler that is running. */
#include "tests/survive/survive.h"

static char stack[65536];
static volatile sig_atomic_t calls, on_stack, value, masked, in_handler, leave;

static void handle(int signal, siginfo_t *info, void *context)
{
	char here;
	sigset_t mask;
	(void)signal;
	(void)context;
	calls++;
	on_stack = (uintptr_t)&here - (uintptr_t)stack < sizeof(stack);
	value = info->si_value.sival_int;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	masked = sigismember(&mask, SIGUSR2);
}

static void stay(int signal)
{
	(void)signal;
	in_handler = 1;
	while (!leave)
		survive_sleep_ms(10);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handle,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART },
			 old;
	struct sigaction staying = { .sa_handler = stay }, ignore = { .sa_handler = SIG_IGN };
	stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	sigaddset(&action.sa_mask, SIGUSR2);
	check(sigaltstack(&other, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
	check(sigaction(SIGHUP, &ignore, NULL) == 0);
	volatile int *stage = survive_shared(sizeof(*stage));
	pid_t child = fork();
	if (child == 0) {
		check(sigaction(SIGTERM, &staying, NULL) == 0);
		*stage = 1;
		while (!in_handler)
			survive_sleep_ms(10);
		_exit(9);
	}
	check_soon(*stage == 1);
	check(kill(child, SIGTERM) == 0);
	while (survive_moved()) {
		int before = calls;
		check(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_sigaction == handle);
		check((old.sa_flags & action.sa_flags) == action.sa_flags &&
		      sigismember(&old.sa_mask, SIGUSR2) == 1);
		check(sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler == SIG_IGN);
		check(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 77 }) == 0);
		check(raise(SIGHUP) == 0 && calls == before + 1 && on_stack && value == 77 && masked);
		check(waitpid(child, NULL, WNOHANG) == 0);
	}
	survive_kill_child(child);
	survive_ok();
	return 0;
}
