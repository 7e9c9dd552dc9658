#include "lib/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"

enum { OUTPUT_LIMIT = 64 << 10, DEFAULT_TIMEOUT_MS = 60000 };

extern char **environ;

static bool raised;
static struct rlimit files_before;

void proc_raise_files(void)
{
	struct rlimit files;
	if (raised || getrlimit(RLIMIT_NOFILE, &files_before) < 0)
		return;
	files = files_before;
	files.rlim_cur = files.rlim_max;
	raised = setrlimit(RLIMIT_NOFILE, &files) == 0;
}

void proc_restore_files(void)
{
	if (raised)
		setrlimit(RLIMIT_NOFILE, &files_before);
}

/* What execvpe would find; done before fork, where malloc is still allowed. */
static char *find_program(const char *name)
{
	if (strchr(name, '/'))
		return strdup(name);
	const char *path = getenv("PATH");
	autofree char *copy = strdup(path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
	char *rest = copy, *directory;
	while (copy && (directory = strsep(&rest, ":"))) {
		autofree char *candidate = format_string("%s/%s", *directory ? directory : ".", name);
		if (access(candidate, X_OK) == 0)
			return take_pointer(candidate);
	}
	/* A daemon may be started with a short PATH; the programs of administrators stand here. */
	static const char *const extra[] = { "/usr/sbin", "/sbin" };
	for (size_t i = 0; i < array_length(extra); i++) {
		autofree char *candidate = format_string("%s/%s", extra[i], name);
		if (access(candidate, X_OK) == 0)
			return take_pointer(candidate);
	}
	return NULL;
}

static char **merge_environment(const char *const *added)
{
	size_t count = 0, more = 0;
	while (environ && environ[count])
		count++;
	while (added && added[more])
		more++;
	char **merged = calloc(count + more + 1, sizeof(*merged));
	if (!merged)
		return NULL;
	/* The first of two equal names wins with getenv(3). */
	for (size_t i = 0; i < more; i++)
		merged[i] = (char *)added[i];
	for (size_t i = 0; i < count; i++)
		merged[more + i] = environ[i];
	return merged;
}

/* Runs in the child: only async-signal-safe calls. Returns only by exiting. */
static void __attribute__((noreturn))
child_run(const char *program, const char *const argv[], char **environment,
	  const struct proc_options *options, int null_fd, int out_fd, int failure_fd)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	proc_restore_files();
	int in = options->stdin_fd ? options->stdin_fd : null_fd;
	int out = options->stdout_fd ? options->stdout_fd : out_fd;
	int code = 0;
	/* First above 2, so that no dup2 overwrites a source of the next. */
	in = fcntl(in, F_DUPFD, 3);
	out = fcntl(out, F_DUPFD, 3);
	int err = options->stdout_fd ? fcntl(out_fd, F_DUPFD, 3) : out;
	failure_fd = fcntl(failure_fd, F_DUPFD_CLOEXEC, 3);
	if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		code = errno;
	/* Before the setup, which may have one that is to be inherited. */
	syscall(SYS_close_range, 3, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */);
	if (code == 0 && options->setup)
		code = -options->setup(options->setup_context);
	if (code == 0) {
		execve(program, (char *const *)argv, environment);
		code = errno;
	}
	if (write(failure_fd, &code, sizeof(code)) < 0)
		_exit(126);
	_exit(127);
}

/* Read until the end of file or the deadline; keeps the last OUTPUT_LIMIT bytes. -ETIMEDOUT at the deadline.
 */
static int collect_output(int fd, int64_t deadline, char *buffer, size_t *used)
{
	for (;;) {
		int64_t left = deadline - clock_monotonic_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		struct pollfd waiting = { .fd = fd, .events = POLLIN };
		if (poll(&waiting, 1, (int)left) <= 0)
			continue;
		if (*used == OUTPUT_LIMIT) {
			memmove(buffer, buffer + OUTPUT_LIMIT / 2, OUTPUT_LIMIT / 2);
			*used = OUTPUT_LIMIT / 2;
		}
		ssize_t got = read(fd, buffer + *used, OUTPUT_LIMIT - *used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : 0;
		*used += (size_t)got;
	}
}

/* Wait for it, until the deadline: a program may close its output and go on. */
static int wait_for_exit(pid_t pid, int64_t deadline, int *wait_status)
{
	autoclose int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd waiting = { .fd = pidfd, .events = POLLIN };
	int64_t left = deadline - clock_monotonic_ms();
	int ready = poll(&waiting, 1, left > 0 ? (int)left : 0);
	if (pidfd >= 0 && ready == 0) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		while (waitpid(pid, wait_status, 0) < 0 && errno == EINTR)
			;
		return -ETIMEDOUT;
	}
	while (waitpid(pid, wait_status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static const char *last_line(char *text)
{
	size_t length = strlen(text);
	while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' '))
		text[--length] = '\0';
	char *newline = strrchr(text, '\n');
	return newline ? newline + 1 : text;
}

int proc_run(const char *const argv[], const struct proc_options *options, struct error *err)
{
	static const struct proc_options defaults = { 0 };
	if (!options)
		options = &defaults;
	autofree char *program = find_program(argv[0]);
	if (!program)
		return error_set(err, ENOENT, "the program %s is not installed", argv[0]);
	autofree char **environment = merge_environment(options->environment);
	autofree char *output = calloc(1, OUTPUT_LIMIT + 1);
	int out[2] = { -1, -1 }, failure[2] = { -1, -1 };
	autoclose int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (!environment || !output || null_fd < 0 || pipe2(out, O_CLOEXEC) < 0)
		return error_sys(err, errno, "cannot run %s", argv[0]);
	autoclose int out_read = out[0], out_write = out[1];
	if (pipe2(failure, O_CLOEXEC) < 0)
		return error_sys(err, errno, "cannot run %s", argv[0]);
	autoclose int failure_read = failure[0], failure_write = failure[1];

	int64_t deadline =
	    clock_monotonic_ms() + (options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS);
	pid_t pid = fork();
	if (pid < 0)
		return error_sys(err, errno, "cannot run %s", argv[0]);
	if (pid == 0)
		child_run(program, argv, environment, options, null_fd, out_write, failure_write);
	setpgid(pid, pid);
	close(take_fd(out_write));
	close(take_fd(failure_write));

	size_t used = 0;
	int code = 0, wait_status = 0;
	int collected = collect_output(out_read, deadline, output, &used);
	if (collected == -ETIMEDOUT)
		kill(-pid, SIGKILL);
	int waited = wait_for_exit(pid, deadline, &wait_status);
	output[used] = '\0';
	if (read(failure_read, &code, sizeof(code)) == (ssize_t)sizeof(code))
		return error_sys(err, code, "cannot run %s", argv[0]);
	if (collected == -ETIMEDOUT || waited == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "%s did not end in %d seconds and was killed", argv[0],
				 (options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS) / 1000);
	int status = 0;
	if (WIFSIGNALED(wait_status))
		status = error_set(err, EINTR, "%s was killed by signal %d", argv[0], WTERMSIG(wait_status));
	else if (WEXITSTATUS(wait_status) != 0) {
		autofree char *copy = strdup(output);
		const char *said = copy ? last_line(copy) : "";
		status = error_set(err, EIO, "%s failed with status %d%s%s", argv[0],
				   WEXITSTATUS(wait_status), *said ? ": " : "", said);
	}
	if (options->output)
		*options->output = take_pointer(output);
	return status;
}
