/* Timers of timer_create (CLOCK_REALTIME and CLOCK_MONOTONIC): they tick, with their ids, signals and values.
 */
#include "tests/survive/survive.h"

static volatile sig_atomic_t ticks[2], wrong;

static void tick(int signal, siginfo_t *info, void *context)
{
	(void)context;
	int i = info->si_value.sival_int;
	if (signal == SIGRTMIN + 3 && info->si_code == SI_TIMER && i >= 0 && i < 2)
		ticks[i]++;
	else
		wrong++;
}

int main(void)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC };
	struct sigaction action = { .sa_sigaction = tick, .sa_flags = SA_RESTART | SA_SIGINFO };
	struct itimerspec every = { .it_interval.tv_nsec = 20000000, .it_value.tv_nsec = 20000000 };
	struct itimerspec far = { .it_value.tv_sec = 10000 }, left;
	timer_t timers[2], once[2];
	check(sigaction(SIGRTMIN + 3, &action, NULL) == 0);
	for (int i = 0; i < 2; i++) {
		struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3 };
		event.sigev_value.sival_int = i;
		check(timer_create(clocks[i], &event, &timers[i]) == 0);
		check(timer_settime(timers[i], 0, &every, NULL) == 0);
		event.sigev_notify = SIGEV_NONE;
		check(timer_create(clocks[i], &event, &once[i]) == 0);
		check(timer_settime(once[i], 0, &far, NULL) == 0);
	}
	/* A hole in the ids, which stays one. */
	check(timer_delete(once[0]) == 0);
	while (survive_moved()) {
		for (int i = 0; i < 2; i++) {
			int before = ticks[i];
			check_soon(ticks[i] > before + 1);
			check(timer_gettime(timers[i], &left) == 0 && left.it_interval.tv_nsec == 20000000);
		}
		check(!wrong && timer_gettime(once[1], &left) == 0);
		check(left.it_value.tv_sec > 9000 && left.it_value.tv_sec < 10000 &&
		      !left.it_interval.tv_nsec);
	}
	survive_ok();
	return 0;
}
