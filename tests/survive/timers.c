/* Timers go on: an interval timer by signal, a timerfd, and a clock that never goes back. */
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#include "tests/survive/survive.h"

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
	(void)signal;
	ticks++;
}

static int64_t now_ms(void)
{
	struct timespec time;
	check(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int main(void)
{
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART };
	check(sigaction(SIGALRM, &action, NULL) == 0);
	struct itimerval every = { .it_interval.tv_usec = 20000, .it_value.tv_usec = 20000 };
	check(setitimer(ITIMER_REAL, &every, NULL) == 0);
	/* Not due before the move: criu gives a timerfd back disarmed when it has expired and was not read.
	 */
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec later = { .it_interval.tv_nsec = 20000000, .it_value.tv_sec = 6 };
	check(fd >= 0 && timerfd_settime(fd, 0, &later, NULL) == 0);
	int64_t before = now_ms();

	survive_move();

	check(now_ms() >= before);
	int seen = ticks;
	survive_sleep_ms(300);
	check(ticks > seen);
	uint64_t expirations;
	ssize_t length;
	for (int i = 0; i < 3; i++) {
		do
			length = read(fd, &expirations, sizeof(expirations));
		while (length < 0 && errno == EINTR);
		check(length == sizeof(expirations) && expirations >= 1);
	}
	struct itimerval left;
	check(getitimer(ITIMER_REAL, &left) == 0 && left.it_interval.tv_usec == 20000);
	survive_ok();
	return 0;
}
