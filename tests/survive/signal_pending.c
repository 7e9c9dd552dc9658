/* Signals that are blocked and pending, of the process and of a thread, queued ones with their values, arrive
 * later. */
#include <pthread.h>

#include "tests/survive/survive.h"

int main(void)
{
	sigset_t set, pending;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 1);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	do {
		if (survive_moves > 0) {
			sigset_t mask;
			check(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 &&
			      sigismember(&mask, SIGRTMIN + 1) == 1);
			check(sigismember(&mask, SIGHUP) == 0 && sigpending(&pending) == 0);
			check(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGUSR2));
			/* Standard signals come once, real-time ones as often as they were sent, in order. */
			struct timespec none = { 0 };
			/* The thread's own come first. */
			check(sigtimedwait(&set, &info, &none) == SIGUSR2 && info.si_code == SI_USER);
			check(sigtimedwait(&set, &info, &none) == SIGUSR1 && info.si_code == SI_USER);
			check(info.si_pid == getpid());
			for (int i = 0; i < 3; i++) {
				check(sigtimedwait(&set, &info, &none) == SIGRTMIN + 1);
				check(info.si_code == SI_QUEUE && info.si_value.sival_int == 100 + i);
			}
			check(sigtimedwait(&set, &info, &none) < 0 && errno == EAGAIN);
		}
		check(kill(getpid(), SIGUSR1) == 0 && kill(getpid(), SIGUSR1) == 0);
		check(pthread_kill(pthread_self(), SIGUSR2) == 0);
		for (int i = 0; i < 3; i++)
			check(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 100 + i }) == 0);
	} while (survive_moved());
	survive_ok();
	return 0;
}
