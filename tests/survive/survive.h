/*
 * A program of tests/survive sets up one kind of a process's state and checks it after each move:
 *
 *	set it up;
 *	while (survive_moved())
 *		check it;
 *	survive_ok();
 *
 * It says OK and ends with 0, or says what did not hold. Programs run side by side in a job, under tests/survive/stage, each in a
 * directory of its own on a data volume. Its first comment is its line of README.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How often it was moved. */
static long survive_moves;

/* Fails the program when something that must hold does not. A child's failure is its exit status, 1. */
#define check(condition)                                                                                     \
	do {                                                                                                 \
		int survive_errno = errno;                                                                   \
		if (!(condition)) {                                                                          \
			dprintf(STDOUT_FILENO, "%s:%d, moves: %ld: does not hold: %s (errno: %s)\n",         \
				strrchr("/" __FILE__, '/') + 1, __LINE__, survive_moves, #condition,         \
				strerror(errno ? errno : survive_errno));                                    \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)

static inline int64_t survive_now_ms(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static inline void survive_sleep_ms(long ms)
{
	/* Until a point of time: signals may come as often as they like. */
	int64_t end = survive_now_ms() + ms;
	while (survive_now_ms() < end) {
		struct timespec time = { .tv_nsec = 1000000L * (end - survive_now_ms() > 20 ? 20 : 2) };
		nanosleep(&time, NULL);
	}
}

/* Waits, for ten seconds, until the condition holds. */
#define check_soon(condition)                                                                                \
	do {                                                                                                 \
		for (int survive_turn = 0; survive_turn < 2000 && !(condition); survive_turn++)              \
			survive_sleep_ms(5);                                                                 \
		check(condition);                                                                            \
	} while (0)

/* The stage writes the number of moves to this file. */
static inline long survive_read_phase(void)
{
	char text[32] = "";
	int fd;
	do
		fd = open("/data/stage/moves", O_RDONLY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	ssize_t length = read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	return length > 0 ? strtol(text, NULL, 10) : 0;
}

/* Says that it is ready and returns true when it was moved, false when it was moved often enough. */
static inline bool survive_moved(void)
{
	const char *wanted = getenv("SURVIVE_MOVES");
	char path[128], text[32];
	if (survive_moves == strtol(wanted ? wanted : "0", NULL, 10))
		return false;
	snprintf(path, sizeof(path), "/data/stage/%s.ready", program_invocation_short_name);
	int length = snprintf(text, sizeof(text), "%ld\n", survive_moves + 1);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	check(fd >= 0 && write(fd, text, (size_t)length) == length && close(fd) == 0);
	while (survive_read_phase() <= survive_moves)
		survive_sleep_ms(20);
	survive_moves++;
	return true;
}

static inline void survive_ok(void)
{
	check(write(STDOUT_FILENO, "OK\n", 3) == 3);
}

/* Memory that children share. */
static inline void *survive_shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(memory != MAP_FAILED);
	return memory;
}

/* A child has ended with this exit code. */
static inline void survive_wait_child(pid_t child, int code)
{
	int status;
	pid_t got;
	do
		got = waitpid(child, &status, 0);
	while (got < 0 && errno == EINTR);
	check(got == child && WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static inline void survive_kill_child(pid_t child)
{
	int status;
	check(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}
