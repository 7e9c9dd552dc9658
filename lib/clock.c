#include "lib/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_now_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_ms(void)
{
	return read_clock(CLOCK_MONOTONIC) / 1000000;
}

void clock_format(int64_t ns, int digits, char text[CLOCK_TEXT_SIZE])
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	size_t used = strftime(text, CLOCK_TEXT_SIZE, "%FT%T", &tm);
	if (digits)
		snprintf(text + used, CLOCK_TEXT_SIZE - used, ".%09dZ", (int)(ns % 1000000000));
	else
		snprintf(text + used, CLOCK_TEXT_SIZE - used, "Z");
}

void clock_sleep_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

struct timespec clock_monotonic_in(int ms)
{
	int64_t ns = clock_monotonic_ns() + (int64_t)ms * 1000000;
	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}
