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
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct itimerspec interval = { .it_interval.tv_nsec = 20000000, .it_value.tv_nsec = 20000000 };
	check(fd >= 0 && timerfd_settime(fd, 0, &interval, NULL) == 0);
	int64_t before = now_ms();

	survive_move();

	check(now_ms() >= before);
	int seen = ticks;
	uint64_t expirations;
	while (read(fd, &expirations, sizeof(expirations)) > 0)
		;
	survive_sleep_ms(300);
	check(ticks > seen);
	check(read(fd, &expirations, sizeof(expirations)) == sizeof(expirations) && expirations >= 2);
	struct itimerval left;
	check(getitimer(ITIMER_REAL, &left) == 0 && left.it_interval.tv_usec == 20000);
	survive_ok();
	return 0;
}
