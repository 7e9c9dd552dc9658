/* A signalfd gives the signals of its mask, also one that was pending at the move. */
#include <sys/signalfd.h>

#include "tests/survive/survive.h"

int main(void)
{
	struct signalfd_siginfo info;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	sigdelset(&set, SIGUSR2);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	check(fd >= 0);
	bool moved = false;
	do {
		if (moved) {
			check(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1);
			check(info.ssi_int == 31 && info.ssi_code == SI_QUEUE);
			/* SIGUSR2 is pending too, but not of its mask. */
			check(read(fd, &info, sizeof(info)) < 0 && errno == EAGAIN);
		}
		check(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 31 }) == 0 &&
		      raise(SIGUSR2) == 0);
	} while ((moved = survive_moved()));
	survive_ok();
	return 0;
}
