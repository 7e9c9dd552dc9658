/* Calls in progress (futexes, locks, waits for a signal or a child, reads of a pipe, an eventfd or a socket with a timeout)
 * end neither early nor late. */
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "tests/survive/waits.h"

static const struct timespec time_span = WAITS_TIMESPEC;
static int *words, pipe_end[2], event, locked, child_pipe[2], pair[2];
static sigset_t usr1;

static int run_futex(void)
{
	long status = syscall(SYS_futex, &words[0], FUTEX_WAIT, 0, &time_span, NULL, 0);
	return status < 0 && errno == ETIMEDOUT ? 0 : -1;
}

static int run_futex_woken(void)
{
	return (int)syscall(SYS_futex, &words[1], FUTEX_WAIT, 0, NULL, NULL, 0);
}

static int run_sigtimedwait(void)
{
	return sigtimedwait(&usr1, NULL, &time_span) < 0 && errno == EAGAIN ? 0 : -1;
}

static int run_read_pipe(void)
{
	char byte;
	return read(pipe_end[0], &byte, 1) == 1 ? 0 : -1;
}

static int run_read_eventfd(void)
{
	uint64_t value;
	return read(event, &value, sizeof(value)) == sizeof(value) && value == 3 ? 0 : -1;
}

static int run_receive(void)
{
	char byte;
	return recv(pair[0], &byte, 1, 0) == 1 ? 0 : -1;
}

static int run_flock(void)
{
	int fd = open("locked", O_RDWR);
	return flock(fd, LOCK_EX);
}

static int run_wait_child(void)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		char byte;
		_exit(read(child_pipe[0], &byte, 1) == 1 ? 4 : 1);
	}
	return waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 4 ? 0 : -1;
}

static void wake_futex(void)
{
	check(syscall(SYS_futex, &words[1], FUTEX_WAKE, 1, NULL, NULL, 0) == 1);
}

static void wake_read_pipe(void)
{
	check(write(pipe_end[1], "x", 1) == 1);
}

static void wake_read_eventfd(void)
{
	check(eventfd_write(event, 3) == 0);
}

static void wake_receive(void)
{
	check(send(pair[1], "x", 1, 0) == 1);
}

static void wake_flock(void)
{
	check(flock(locked, LOCK_UN) == 0);
}

static void wake_wait_child(void)
{
	check(write(child_pipe[1], "x", 1) == 1);
}

static const struct survive_wait waits[] = {
	{ "futex with a timeout", run_futex, NULL },
	{ "sigtimedwait", run_sigtimedwait, NULL },
	{ "futex", run_futex_woken, wake_futex },
	{ "read of a pipe", run_read_pipe, wake_read_pipe },
	{ "read of an eventfd", run_read_eventfd, wake_read_eventfd },
	{ "recv of a socket with a timeout", run_receive, wake_receive },
	{ "flock", run_flock, wake_flock },
	{ "wait for a child", run_wait_child, wake_wait_child },
};

int main(void)
{
	words = survive_shared(4096);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	check(sigprocmask(SIG_BLOCK, &usr1, NULL) == 0 && !pipe(pipe_end) && !pipe(child_pipe));
	struct timeval hour = { .tv_sec = 3600 };
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 &&
	      setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &hour, sizeof(hour)) == 0);
	event = eventfd(0, 0);
	locked = open("locked", O_RDWR | O_CREAT, 0600);
	check(event >= 0 && locked >= 0 && flock(locked, LOCK_EX) == 0);
	return survive_waits(waits, sizeof(waits) / sizeof(*waits));
}
