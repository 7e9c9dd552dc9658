/* Sleeps in progress (nanosleep, clock_nanosleep, sleep, usleep, poll, pause), also after a stop, end neither early nor
 * late, nor with an error. */
#include <poll.h>
#include <sys/syscall.h>

#include "tests/survive/waits.h"

static const struct timespec time_span = WAITS_TIMESPEC;

static int run_nanosleep(void)
{
	return (int)syscall(SYS_nanosleep, &time_span, NULL);
}

static int run_poll(void)
{
	return poll(NULL, 0, WAITS_MS);
}

static int run_nanosleep_rest(void)
{
	struct timespec time = time_span;
	return nanosleep(&time, &time);
}

static int run_nanosleep_rest_elsewhere(void)
{
	struct timespec rest;
	return nanosleep(&time_span, &rest);
}

static int run_clock_nanosleep(void)
{
	errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &time_span, NULL);
	return errno;
}

static int run_absolute(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	int64_t at = time.tv_sec * 1000000000LL + time.tv_nsec + WAITS_MS * 1000000LL;
	time = (struct timespec){ .tv_sec = at / 1000000000, .tv_nsec = at % 1000000000 };
	errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
	return errno;
}

static int run_usleep(void)
{
	return usleep(WAITS_MS * 1000);
}

static int run_sleep(void)
{
	return (int)sleep(WAITS_MS / 1000);
}

static int run_long(void)
{
	return nanosleep(&(struct timespec){ .tv_sec = 3600 }, NULL);
}

static int run_pause(void)
{
	return pause();
}

/* Never woken: they must be there at the end. */
static const struct survive_wait waits[] = {
	{ "nanosleep", run_nanosleep, NULL },
	{ "nanosleep with the rest in the same place", run_nanosleep_rest, NULL },
	{ "nanosleep with the rest elsewhere", run_nanosleep_rest_elsewhere, NULL },
	{ "clock_nanosleep", run_clock_nanosleep, NULL },
	{ "poll of nothing", run_poll, NULL },
	{ "clock_nanosleep until a time", run_absolute, NULL },
	{ "usleep", run_usleep, NULL },
	{ "sleep", run_sleep, NULL },
};

int main(void)
{
	survive_stops = true;
	pid_t sleeper = fork();
	if (sleeper == 0)
		_exit(run_long() == 0 ? 2 : 1);
	pid_t pauser = fork();
	if (pauser == 0)
		_exit(run_pause() ? 1 : 2);
	int status = survive_waits(waits, sizeof(waits) / sizeof(*waits));
	if (waitpid(sleeper, NULL, WNOHANG) != 0 || waitpid(pauser, NULL, WNOHANG) != 0) {
		printf("a sleep of an hour, or a pause, has ended\n");
		return 1;
	}
	kill(sleeper, SIGKILL);
	kill(pauser, SIGKILL);
	return status;
}
