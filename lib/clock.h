/* Times: nanoseconds of CLOCK_REALTIME since the epoch, and RFC 3339 in UTC. */
#pragma once

#include <stdint.h>
#include <time.h>

enum { CLOCK_TEXT_SIZE = 40 };

int64_t clock_now_ns(void);

/* For time limits and durations: never set, not counted while the machine sleeps. */
int64_t clock_monotonic_ns(void);
int64_t clock_monotonic_ms(void);
/* CLOCK_MONOTONIC so many ms from now: for pthread_cond_clockwait. */
struct timespec clock_monotonic_in(int ms);

/* 2023-01-24T20:33:24.997727759Z; with digits 0: 2023-01-24T20:33:24Z. */
void clock_format(int64_t ns, int digits, char text[CLOCK_TEXT_SIZE]);

void clock_sleep_ms(int ms);
