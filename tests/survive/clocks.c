/* Clocks: the monotonic ones never go back nor jump ahead, the real one is right; CPU time begins anew. */
#include "tests/survive/survive.h"

static int64_t clock_ms(clockid_t clock)
{
	struct timespec time;
	check(clock_gettime(clock, &time) == 0);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int main(void)
{
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW,
					    CLOCK_MONOTONIC_COARSE, CLOCK_PROCESS_CPUTIME_ID };
	int64_t before[5], real = clock_ms(CLOCK_REALTIME);
	for (int i = 0; i < 5; i++)
		before[i] = clock_ms(clocks[i]);
	while (survive_moved()) {
		int64_t passed = clock_ms(CLOCK_REALTIME) - real;
		check(passed >= 0 && passed < 120000);
		for (int i = 0; i < 5; i++) {
			int64_t now = clock_ms(clocks[i]);
			/* criu knows no CPU time: it starts anew, but is no more than what has passed. */
			check(clocks[i] == CLOCK_PROCESS_CPUTIME_ID || now >= before[i]);
			check(now - before[i] <= passed + 50);
			before[i] = now;
		}
		real += passed;
	}
	survive_ok();
	return 0;
}
