#include "lib/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
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
