/*
 * clients MOUNT COUNT SECONDS: COUNT processes do what users do in the tree, at random, for so long. Jobs come and go
 * meanwhile: what was there may be gone, but nothing may hang, and no value may be torn. Prints how much was done.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HANG_S = 20, POLLS = 8 };

static char jobs[4096];
static struct shared {
	long done, bad;
} * shared;

static void complain(const char *what, const char *path)
{
	fprintf(stderr, "%s: %s (%s)\n", path, what, strerror(errno));
	__atomic_add_fetch(&shared->bad, 1, __ATOMIC_RELAXED);
}

/* What may be said of a job that has gone, is not in that state, or of a read that a signal ended. */
static bool is_expected(int code)
{
	return code == ENOENT || code == EOPNOTSUPP || code == EBUSY || code == EINTR || code == EEXIST ||
	       code == EROFS || code == EACCES;
}

/* A job at random; false where there is none. */
static bool pick_job(char *path, size_t size)
{
	DIR *directory = opendir(jobs);
	char names[64][64];
	int count = 0;
	if (!directory) {
		complain("cannot be listed", jobs);
		return false;
	}
	for (struct dirent *entry; count < 64 && (entry = readdir(directory));)
		if (entry->d_name[0] != '.')
			snprintf(names[count++], sizeof(names[0]), "%.63s", entry->d_name);
	closedir(directory);
	if (count == 0)
		return false;
	snprintf(path, size, "%s/%s", jobs, names[rand() % count]);
	return true;
}

/* Opens a file of a job at random. */
static int open_one(const char *const *names, int count, int flags, char *path, size_t size)
{
	char job[4200];
	if (!pick_job(job, sizeof(job)))
		return -1;
	snprintf(path, size, "%s/%s", job, names[rand() % count]);
	int fd = open(path, flags | O_CLOEXEC);
	if (fd < 0 && !is_expected(errno))
		complain("cannot be opened", path);
	return fd;
}

static const char *const values[] = { "status", "info",    "info.json", "exit_code",  "error",
				      "name",   "migrate", "policy",    "job.events", "output" };

static void read_value(void)
{
	char path[4400], text[65536];
	int fd = open_one(values, sizeof(values) / sizeof(*values), O_RDONLY, path, sizeof(path));
	if (fd < 0)
		return;
	ssize_t length = read(fd, text, sizeof(text));
	if (length < 0 && !is_expected(errno))
		complain("cannot be read", path);
	const char *name = strrchr(path, '/') + 1;
	if (length > 0 && !strcmp(name, "status") && (text[length - 1] != '\n' || length > 24))
		complain("is torn", path);
	if (length > 0 && !strcmp(name, "info.json") && (text[0] != '{' || text[length - 2] != '}'))
		complain("is torn", path);
	close(fd);
}

static void wait_or_be_interrupted(void)
{
	static const char *const names[] = { "wait" };
	char path[4400], text[16];
	int fd = open_one(names, 1, O_RDONLY, path, sizeof(path));
	if (fd < 0)
		return;
	/* Again and again: the first may come before the read. */
	long soon_ns = 1 + rand() % 200000000;
	struct itimerspec soon = { .it_value.tv_nsec = soon_ns, .it_interval.tv_nsec = soon_ns + 1000000 };
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) {
		timer_settime(timer, 0, &soon, NULL);
		if (read(fd, text, sizeof(text)) < 0 && !is_expected(errno))
			complain("cannot be waited for", path);
		timer_delete(timer);
	}
	close(fd);
}

static void poll_some(void)
{
	static const char *const names[] = { "status", "info", "job.events", "output", "exit_code" };
	struct pollfd waiting[POLLS];
	char path[4400];
	for (int i = 0; i < POLLS; i++)
		waiting[i] = (struct pollfd){ .fd = open_one(names, 5, O_RDONLY, path, sizeof(path)),
					      .events = POLLIN };
	poll(waiting, POLLS, rand() % 100);
	for (int i = 0; i < POLLS; i++)
		if (waiting[i].fd >= 0)
			close(waiting[i].fd);
}

static void command(void)
{
	static const char *const names[] = { "ctl", "migrate" };
	static const char *const texts[] = { "signal CONT\n", "explode\n", "c5.large\n", "abort\n", "\n" };
	char path[4400];
	int fd = open_one(names, 2, O_WRONLY, path, sizeof(path));
	if (fd < 0)
		return;
	const char *text = texts[rand() % 5];
	ssize_t done = write(fd, text, strlen(text));
	if (done < 0 && !is_expected(errno) && errno != EINVAL && errno != ENOMEM && errno != ECONNREFUSED &&
	    errno != ECONNRESET && errno != ETIMEDOUT && errno != EHOSTUNREACH)
		complain("refuses in an unknown way", path);
	if (done >= 0 && done != (ssize_t)strlen(text))
		complain("took a part of a command", path);
	close(fd);
}

static void make_a_draft(void)
{
	char path[4200], setting[4400], text[128];
	snprintf(path, sizeof(path), "%s/draft-%d-%d", jobs, (int)getpid(), rand() % 4);
	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		complain("cannot be made", path);
		return;
	}
	snprintf(setting, sizeof(setting), "%s/env", path);
	int fd = open(setting, O_RDWR | O_TRUNC | O_CLOEXEC);
	if (fd >= 0) {
		const char *line = "NAME=value\n";
		if (write(fd, line, strlen(line)) < 0 || pread(fd, text, sizeof(text), 0) < 0)
			complain("cannot be written", setting);
		close(fd);
	} else if (!is_expected(errno)) {
		complain("cannot be opened", setting);
	}
	if (rmdir(path) < 0 && !is_expected(errno))
		complain("cannot be removed", path);
}

static void walk(void)
{
	char path[4600], job[4200];
	struct stat st;
	if (!pick_job(job, sizeof(job)))
		return;
	DIR *directory = opendir(job);
	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		snprintf(path, sizeof(path), "%s/%s", job, entry->d_name);
		if (lstat(path, &st) < 0 && !is_expected(errno))
			complain("cannot be looked at", path);
	}
	if (directory)
		closedir(directory);
}

static void note_signal(int signal)
{
	(void)signal;
}

static void hang(int signal)
{
	(void)signal;
	static const char text[] = "a client hangs\n";
	ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(ignored < 0 ? 2 : 1);
}

static void run(int seconds)
{
	static void (*const actions[])(void) = { read_value,  read_value, wait_or_be_interrupted,
						 poll_some,   command,    walk,
						 make_a_draft };
	time_t end = time(NULL) + seconds;
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = note_signal }, NULL);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = hang }, NULL);
	srand((unsigned)getpid());
	while (time(NULL) < end) {
		alarm(HANG_S);
		actions[rand() % (sizeof(actions) / sizeof(*actions))]();
		__atomic_add_fetch(&shared->done, 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: clients MOUNT COUNT SECONDS\n");
		return 2;
	}
	snprintf(jobs, sizeof(jobs), "%s/jobs", argv[1]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	for (long i = strtol(argv[2], NULL, 10); i > 0; i--)
		if (fork() == 0)
			run(atoi(argv[3]));
	for (int status; wait(&status) > 0 || errno == EINTR;)
		if (status != 0)
			shared->bad++;
	printf("%ld actions, %ld bad\n", shared->done, shared->bad);
	return shared->bad != 0;
}
