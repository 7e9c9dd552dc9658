/*
 * Calls that stand in the kernel while the program is moved: each in a process of its own. A call with a wake
 * waits until that; one without takes WAITS_MS and is made again and again. None may end early.
 */
#pragma once

#include "tests/survive/survive.h"

enum { WAITS_MS = 600, WAITS_MAX = 16, WAITS_LATE_MS = 3000 };

struct survive_wait {
	const char *name;
	/* 0 when it ended as it should. */
	int (*run)(void);
	void (*wake)(void);
};

struct survive_waiting {
	volatile int rounds, failed, code;
	volatile int64_t took_ms;
};

static inline __attribute__((noreturn)) void survive_run_wait(const struct survive_wait *wait,
							      struct survive_waiting *shared)
{
	do {
		int64_t began = survive_now_ms();
		errno = 0;
		int status = wait->run();
		shared->code = errno;
		shared->took_ms = survive_now_ms() - began;
		if (status != 0 || (!wait->wake && shared->took_ms < WAITS_MS - 2))
			shared->failed = 1;
		shared->rounds++;
	} while (!wait->wake && !shared->failed);
	_exit(0);
}

static inline int survive_look(const struct survive_wait *wait, const struct survive_waiting *waiting,
			       int rounds)
{
	bool late = !wait->wake && waiting->took_ms > WAITS_MS + WAITS_LATE_MS;
	if (!waiting->failed && !late && (!wait->wake || waiting->rounds <= rounds))
		return 0;
	printf("%s: ended after %lld ms, moves: %ld: %s\n", wait->name, (long long)waiting->took_ms,
	       survive_moves, waiting->code ? strerror(waiting->code) : "it should not have");
	return 1;
}

/* What the main function of such a program is. */
static inline int survive_waits(const struct survive_wait *waits, int count)
{
	struct survive_waiting *all = survive_shared(sizeof(*all) * WAITS_MAX);
	pid_t pids[WAITS_MAX];
	int bad = 0;
	check(count <= WAITS_MAX);
	for (int i = 0; i < count; i++) {
		pids[i] = fork();
		check(pids[i] >= 0);
		if (pids[i] == 0)
			survive_run_wait(&waits[i], &all[i]);
	}
	survive_sleep_ms(100);
	while (!bad && survive_moved()) {
		survive_sleep_ms(100);
		for (int i = 0; i < count; i++)
			bad += survive_look(&waits[i], &all[i], 0);
	}
	for (int i = 0; i < count && !bad; i++) {
		if (!waits[i].wake)
			continue;
		waits[i].wake();
		for (int turn = 0; turn < 500 && all[i].rounds == 0; turn++)
			survive_sleep_ms(10);
		if (all[i].rounds != 1)
			printf("%s: does not end when it should\n", waits[i].name);
		bad += all[i].rounds != 1 || survive_look(&waits[i], &all[i], 1);
	}
	for (int i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	fflush(stdout);
	if (!bad)
		survive_ok();
	return bad != 0;
}
