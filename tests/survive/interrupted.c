/*
 * A call that a signal interrupts ends with EINTR, also when the signal came before the move and its task was stopped; one that
 * goes on after a handler with SA_RESTART goes on.
 */
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "tests/survive/survive.h"

static int poll_nothing(void)
{
	return poll(NULL, 0, -1);
}

/* Of a pipe into which nobody writes. */
static int read_nothing(void)
{
	int ends[2];
	char byte;
	check(pipe(ends) == 0);
	ssize_t got = read(ends[0], &byte, 1);
	int code = errno;
	close(ends[0]);
	close(ends[1]);
	errno = code;
	return (int)got;
}

static int wait_for_word(void)
{
	uint32_t word = 0;
	return (int)syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static const struct {
	int (*call)(void);
	int flags; /* of the handler */
	bool told, thread, ends;
} kinds[] = {
	{ poll_nothing, SA_RESTART, true, false, true },  { poll_nothing, SA_RESTART, false, false, false },
	{ read_nothing, 0, true, false, true },           { read_nothing, SA_RESTART, true, false, false },
	{ read_nothing, 0, false, false, false },         { wait_for_word, 0, true, true, true },
	{ wait_for_word, SA_RESTART, true, true, false },
};

enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

static struct shared {
	volatile pid_t thread;
	volatile int rounds, handled, code;
} * shared;
static int own;

static void handle(int signal)
{
	(void)signal;
	shared[own].handled++;
}

static void *call_for_ever(void *unused)
{
	shared[own].thread = (pid_t)syscall(SYS_gettid);
	for (;;) {
		int status = kinds[own].call();
		shared[own].code = status < 0 ? errno : 0;
		shared[own].rounds++;
	}
	return unused;
}

static pid_t start(int number)
{
	pid_t child = fork();
	check(child >= 0);
	if (child)
		return child;
	struct sigaction action = { .sa_handler = handle, .sa_flags = kinds[number].flags };
	pthread_t thread;
	own = number;
	check(sigaction(SIGUSR1, &action, NULL) == 0);
	check(!kinds[own].thread || pthread_create(&thread, NULL, call_for_ever, NULL) == 0);
	if (!kinds[own].thread)
		call_for_ever(NULL);
	for (;;)
		pause();
}

static void stop(pid_t child)
{
	int status;
	check(kill(child, SIGSTOP) == 0);
	check(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
}

static void check_kind(int number)
{
	int moves = (int)survive_moves;
	if (kinds[number].told)
		check_soon(shared[number].handled == moves);
	if (kinds[number].ends) {
		check_soon(shared[number].rounds == moves);
		check(shared[number].code == EINTR);
	} else {
		check(shared[number].rounds == 0);
	}
}

int main(void)
{
	pid_t children[KINDS];
	shared = survive_shared(KINDS * sizeof(*shared));
	for (int i = 0; i < KINDS; i++) {
		children[i] = start(i);
		check_soon(shared[i].thread != 0);
	}
	survive_sleep_ms(100);
	bool moved = false;
	do {
		for (int i = 0; moved && i < KINDS; i++)
			check(kill(children[i], SIGCONT) == 0);
		for (int i = 0; moved && i < KINDS; i++)
			check_kind(i);
		survive_sleep_ms(50);
		for (int i = 0; i < KINDS; i++) {
			stop(children[i]);
			check(!kinds[i].told ||
			      syscall(SYS_tgkill, children[i], shared[i].thread, SIGUSR1) == 0);
		}
	} while ((moved = survive_moved()));
	for (int i = 0; i < KINDS; i++)
		survive_kill_child(children[i]);
	survive_ok();
	return 0;
}
