/* Interval timers (real, virtual, prof) go on ticking, with their intervals. */
#include <sys/time.h>

#include "tests/survive/survive.h"

static volatile sig_atomic_t ticks[3];
static const int which[] = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };
static const int signals[] = { SIGALRM, SIGVTALRM, SIGPROF };

static void tick(int signal)
{
	for (int i = 0; i < 3; i++)
		if (signals[i] == signal)
			ticks[i]++;
}

static void burn_ms(long ms)
{
	for (int64_t end = survive_now_ms() + ms; survive_now_ms() < end;)
		;
}

int main(void)
{
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART };
	struct itimerval every = { .it_interval.tv_usec = 20000, .it_value.tv_usec = 20000 }, left;
	for (int i = 0; i < 3; i++)
		check(sigaction(signals[i], &action, NULL) == 0 && setitimer(which[i], &every, NULL) == 0);
	while (survive_moved())
		for (int i = 0; i < 3; i++) {
			int before = ticks[i];
			for (int turn = 0; turn < 400 && ticks[i] <= before + 1; turn++)
				burn_ms(10);
			check(ticks[i] > before + 1);
			check(getitimer(which[i], &left) == 0 && left.it_interval.tv_usec == 20000);
		}
	survive_ok();
	return 0;
}
