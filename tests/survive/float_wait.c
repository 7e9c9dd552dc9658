/* Reads of the job's own `wait` in progress, also of a task that was stopped, go on; a signal with a handler ends one with
 * EINTR, and one that kills ends it at once. */
#include <pthread.h>
#include <sys/uio.h>

#include "tests/survive/survive.h"

enum { THREADS = 8 };

/* Of a process that reads `wait`. */
static struct shared {
	volatile int begun, ended, handled, code;
} * shared;
static int own;

static void handle(int signal)
{
	(void)signal;
	shared[own].handled++;
}

static void read_wait(int fd, int how)
{
	char text[64];
	struct iovec part = { text, sizeof(text) };
	shared[own].begun++;
	ssize_t got = how == 0   ? read(fd, text, sizeof(text))
		      : how == 1 ? pread(fd, text, sizeof(text), 0)
				 : readv(fd, &part, 1);
	shared[own].code = got < 0 ? errno : 0;
	shared[own].ended++;
}

static void *read_in_thread(void *how)
{
	int fd = open("/float/jobs/self/wait", O_RDONLY);
	check(fd >= 0);
	read_wait(fd, *(int *)how);
	return NULL;
}

/* They read it by different calls, one after the other if they are interrupted. */
static pid_t start(int number, bool with_threads)
{
	static int how[THREADS];
	pid_t child = fork();
	check(child >= 0);
	if (child)
		return child;
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
	own = number;
	check(sigaction(SIGUSR1, &action, NULL) == 0);
	int fd = open("/float/jobs/self/wait", O_RDONLY);
	check(fd >= 0);
	for (int i = 0; with_threads && i < THREADS; i++) {
		pthread_t thread;
		how[i] = i % 3;
		check(pthread_create(&thread, NULL, read_in_thread, &how[i]) == 0);
	}
	for (int i = 0;; i++)
		read_wait(fd, i % 3);
}

static void stop(pid_t child)
{
	int status;
	check(kill(child, SIGSTOP) == 0);
	check(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
}

/* It stands in the call, and nowhere else. */
static bool is_in_call(pid_t child)
{
	char path[64], text[16] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
	FILE *file = fopen(path, "r");
	check(file && fscanf(file, "%*d %*s %15s", text) == 1 && fclose(file) == 0);
	return *text == 'S';
}

static void kill_at_once(pid_t child)
{
	int64_t began = survive_now_ms();
	check(kill(child, SIGTERM) == 0 && waitpid(child, NULL, 0) == child);
	check(survive_now_ms() - began < 2000);
}

int main(void)
{
	enum { WAITING, STOPPED, INTERRUPTED, STOPPED_AND_TOLD, KINDS };
	pid_t children[KINDS];
	shared = survive_shared(KINDS * sizeof(*shared));
	for (int i = 0; i < KINDS; i++)
		children[i] = start(i, i == WAITING);
	check_soon(shared[WAITING].begun == THREADS + 1 && shared[STOPPED_AND_TOLD].begun == 1);
	for (int i = 0; i < KINDS; i++)
		check_soon(is_in_call(children[i]));
	do {
		int moves = (int)survive_moves;
		/* Whatever stops a task ends its reads of a FUSE file, and the move is what makes them again. */
		int stopped = shared[STOPPED].ended;
		if (moves) {
			check(kill(children[STOPPED], SIGCONT) == 0 &&
			      kill(children[STOPPED_AND_TOLD], SIGCONT) == 0);
			check_soon(shared[STOPPED_AND_TOLD].handled == moves);
			check_soon(shared[STOPPED_AND_TOLD].ended == moves);
			check(shared[STOPPED_AND_TOLD].code == EINTR);
			check(kill(children[INTERRUPTED], SIGUSR1) == 0);
			check_soon(shared[INTERRUPTED].ended == moves);
			check(shared[INTERRUPTED].code == EINTR && shared[INTERRUPTED].handled == moves);
			check_soon(shared[INTERRUPTED].begun == moves + 1);
			survive_sleep_ms(50);
			check(shared[STOPPED].ended == stopped && shared[WAITING].ended == 0);
			for (int i = 0; i < KINDS; i++)
				check_soon(is_in_call(children[i]));
		}
		stop(children[STOPPED]);
		stop(children[STOPPED_AND_TOLD]);
		check(kill(children[STOPPED_AND_TOLD], SIGUSR1) == 0);
	} while (survive_moved());
	check(kill(children[STOPPED], SIGCONT) == 0 && kill(children[STOPPED_AND_TOLD], SIGCONT) == 0);
	for (int i = 0; i < KINDS; i++)
		kill_at_once(children[i]);
	survive_ok();
	return 0;
}
