/*
 * Calls that stand in the kernel while the program is moved: each in a process of its own. A call with a wake
 * waits until that; one without takes WAITS_MS, which is longer than it is until the next move, and is made again and again.
 * None may end early, and none much later than it should.
 */
#pragma once

#include "tests/survive/survive.h"

enum { WAITS_MS = 2000, WAITS_MAX = 16, WAITS_LATE_MS = 2500, WAITS_TICK_MS = 5, WAITS_TICK_MAX_MS = 20 };

#define WAITS_TIMESPEC                                                                                       \
	{                                                                                                    \
		.tv_sec = WAITS_MS / 1000, .tv_nsec = WAITS_MS % 1000 * 1000000L                             \
	}

struct survive_wait {
	const char *name;
	/* 0 when it ended as it should. */
	int (*run)(void);
	void (*wake)(void);
};

struct survive_waiting {
	volatile int rounds, failed, code;
	/* The moment of the monotonic clock tells what is early; that of the program's run, what is late. */
	volatile int64_t took_ms, ran_at;
};

/* How long the program has run: the monotonic clock without most of what it stood. */
static volatile int64_t *survive_ran_ms;

static inline __attribute__((noreturn)) void survive_tick(void)
{
	for (int64_t before = survive_now_ms();;) {
		usleep(WAITS_TICK_MS * 1000);
		int64_t now = survive_now_ms(), passed = now - before;
		*survive_ran_ms += passed < WAITS_TICK_MAX_MS ? passed : WAITS_TICK_MAX_MS;
		before = now;
	}
}

static inline __attribute__((noreturn)) void survive_run_wait(const struct survive_wait *wait,
							      struct survive_waiting *shared)
{
	do {
		int64_t began = survive_now_ms();
		shared->ran_at = *survive_ran_ms;
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
	int64_t lasts = *survive_ran_ms - waiting->ran_at;
	if (!wait->wake && !waiting->failed && lasts > WAITS_MS + WAITS_LATE_MS) {
		printf("%s: has not ended after %lld ms, moves: %ld\n", wait->name, (long long)lasts,
		       survive_moves);
		return 1;
	}
	if (!waiting->failed && (!wait->wake || waiting->rounds <= rounds))
		return 0;
	printf("%s: ended after %lld ms, moves: %ld: %s\n", wait->name, (long long)waiting->took_ms,
	       survive_moves, waiting->code ? strerror(waiting->code) : "it should not have");
	return 1;
}

/*
 * Set: before every second move they are stopped and go on. The kernel goes on with some calls as restart_syscall, and ends
 * others.
 */
static bool survive_stops;

static inline void survive_stop(pid_t pid)
{
	int status;
	check(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid);
	check(!WIFSTOPPED(status) || kill(pid, SIGCONT) == 0);
}

/* What the main function of such a program is. */
static inline int survive_waits(const struct survive_wait *waits, int count)
{
	struct survive_waiting *all = survive_shared(sizeof(*all) * WAITS_MAX);
	pid_t pids[WAITS_MAX], ticker;
	int bad = 0;
	survive_ran_ms = survive_shared(sizeof(*survive_ran_ms));
	check(count <= WAITS_MAX && (ticker = fork()) >= 0);
	if (ticker == 0)
		survive_tick();
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
		for (int i = 0; i < count && !bad && survive_stops && survive_moves % 2; i++)
			survive_stop(pids[i]);
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
	kill(ticker, SIGKILL);
	for (int i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	fflush(stdout);
	if (!bad)
		survive_ok();
	return bad != 0;
}
