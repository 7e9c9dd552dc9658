/*
 * A program of tests/survive sets up one fact of a process's state, calls survive_move, and checks that it
 * still holds. It runs as a job's script; the test migrates the job when it has said READY and wants OK and
 * exit code 0.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Fails the program when something that must hold does not. */
#define check(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			printf("line %d: does not hold: %s\n", __LINE__, #condition);                        \
			exit(1);                                                                             \
		}                                                                                            \
	} while (0)

static inline void survive_sleep_ms(long ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	while (nanosleep(&time, &time) < 0)
		;
}

static inline void survive_read_host(char *host, size_t size)
{
	ssize_t length;
	/* A request to a FUSE file system can be interrupted by a signal. */
	do
		length = readlink("/float/jobs/self/host", host, size - 1);
	while (length < 0 && errno == EINTR);
	host[length < 0 ? 0 : length] = '\0';
}

/* Says READY and returns when the job is on another host. */
static inline void survive_move(void)
{
	char before[256], now[256];
	survive_read_host(before, sizeof(before));
	check(before[0]);
	printf("READY\n");
	fflush(stdout);
	do {
		survive_sleep_ms(50);
		survive_read_host(now, sizeof(now));
	} while (!now[0] || !strcmp(before, now));
}

static inline void survive_ok(void)
{
	printf("OK\n");
	fflush(stdout);
}
