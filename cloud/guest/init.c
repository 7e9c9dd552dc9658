/*
 * float-init: the first process of a machine. It mounts what is not there yet, says who the machine is, keeps
 * float-agent running, and reaps what nobody else does. It logs to its stderr, the machine's console.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cloud/guest/enrolment.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"

#define AGENT "/usr/lib/float/float-agent"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_LAST_MS = 5000, LIVED_LONG_MS = 10000, END_GRACE_MS = 3000 };

static bool is_mount_point(const char *path)
{
	struct statx st;
	return statx(AT_FDCWD, path, 0, STATX_TYPE, &st) == 0 &&
	       (st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int mount_missing(struct error *err)
{
	static const struct {
		const char *type, *target;
		unsigned long flags;
		const char *options;
	} mounts[] = {
		{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
		{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
		{ "devtmpfs", "/dev", MS_NOSUID, "mode=755" },
		{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5" },
		{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777" },
		{ "tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755" },
		{ "tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777" },
		{ "cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	};
	for (size_t i = 0; i < array_length(mounts); i++) {
		if (is_mount_point(mounts[i].target))
			continue;
		if (mkdir(mounts[i].target, 0755) < 0 && errno != EEXIST)
			return error_sys(err, errno, "cannot make %s", mounts[i].target);
		if (mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags,
			  mounts[i].options) < 0)
			return error_sys(err, errno, "cannot mount %s", mounts[i].target);
	}
	int status = file_make_directories("/dev/disk/by-id", 0755);
	return status < 0 ? error_sys(err, -status, "cannot make /dev/disk/by-id") : 0;
}

static int loopback_up(struct error *err)
{
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return error_sys(err, errno, "cannot switch lo on");
	return 0;
}

/* What was inherited as stdin is a file outside of this machine's own tree: nobody gets that from here. */
static int own_stdin(struct error *err)
{
	autoclose int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
		return error_sys(err, errno, "cannot open /dev/null");
	return 0;
}

static int set_up(struct error *err)
{
	int status = mount_missing(err);
	if (status == 0)
		status = own_stdin(err);
	if (status == 0)
		status = loopback_up(err);
	if (status == 0)
		status = enrolment_write("/etc/float", err);
	return status;
}

static pid_t start_agent(void)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	execl(AGENT, "float-agent", NULL);
	log_error("cannot run " AGENT ": %s", strerror(errno));
	_exit(127);
}

/* Everything else on the machine gets a moment to end. */
static void end_all(void)
{
	kill(-1, SIGTERM);
	int64_t until = clock_monotonic_ms() + END_GRACE_MS;
	pid_t pid;
	while (((pid = waitpid(-1, NULL, WNOHANG)) >= 0 || errno == EINTR) && clock_monotonic_ms() < until)
		if (pid == 0)
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	kill(-1, SIGKILL);
}

static void log_end(int how, int64_t lived_ms)
{
	log_info("float-agent ended after %lld ms: %s %d", (long long)lived_ms,
		 WIFSIGNALED(how) ? "signal" : "exit status",
		 WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
}

static void serve(const sigset_t *signals)
{
	int64_t started = 0, start_at = 0, backoff = BACKOFF_FIRST_MS;
	pid_t agent = -1;
	for (;;) {
		if (agent < 0 && clock_monotonic_ms() >= start_at) {
			started = clock_monotonic_ms();
			agent = start_agent();
			if (agent < 0) {
				log_error("cannot start a process: %s", strerror(errno));
				start_at = started + BACKOFF_LAST_MS;
			}
		}
		int64_t wait = agent < 0 ? start_at - clock_monotonic_ms() : 60000;
		if (wait < 0)
			wait = 0;
		int got = sigtimedwait(
		    signals, NULL,
		    &(struct timespec){ .tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000 });
		if (got == SIGTERM || got == SIGINT)
			return;
		int how;
		pid_t pid;
		while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
			if (pid != agent)
				continue;
			int64_t lived = clock_monotonic_ms() - started;
			log_end(how, lived);
			backoff = lived >= LIVED_LONG_MS ? BACKOFF_FIRST_MS : backoff;
			start_at = clock_monotonic_ms() + backoff;
			backoff = backoff * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : backoff * 2;
			agent = -1;
		}
	}
}

int main(void)
{
	log_open("float-init", LOG_INFO);
	umask(022);
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	struct error err = { 0 };
	if (set_up(&err) < 0) {
		log_error("%s", err.text);
		return 1;
	}
	log_info("the machine is up");
	serve(&signals);
	log_info("the machine goes down");
	end_all();
	return 0;
}
