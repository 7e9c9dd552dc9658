#include "cloud/local/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cloud/local/net.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/proc.h"

#define TAP "tap0"

enum {
	READY_TIMEOUT_MS = 10000,
	END_TIMEOUT_MS = 10000,
	NFT_TIMEOUT_MS = 10000,
	LOG_MAX = 1 << 20,
	RESOLVER_MAX = 64 << 10
};

/*
 * floatfs asks the agents, never the other way round. What goes from host to host over the bridge comes by here too
 * where the kernel filters bridges. Of slirp4netns's own network a job needs the name
 * server, and of that only its port: it stands for the machine's, which may be at a loopback address.
 * Refused, not dropped: a mistake is told at once.
 */
static const char rules[] =
    "add table inet float_outlet\n"
    "flush table inet float_outlet\n"
    "table inet float_outlet {\n"
    "chain own {\n"
    "type filter hook input priority filter; policy accept;\n"
    "iifname != { \"" NET_BRIDGE "\", \"" TAP "\" } accept\n"
    "ct state established,related accept\n"
    "reject\n"
    "}\n"
    "chain through {\n"
    "type filter hook forward priority filter; policy drop;\n"
    "iifname \"" NET_BRIDGE "\" oifname \"" NET_BRIDGE "\" accept\n"
    "iifname \"" TAP "\" oifname \"" NET_BRIDGE "\" ct state established,related accept\n"
    "iifname \"" NET_BRIDGE "\" oifname \"" TAP "\" ip daddr " OUTLET_RESOLVER
    " meta l4proto { tcp, udp } th dport 53 accept\n"
    "iifname \"" NET_BRIDGE "\" ip daddr { 0.0.0.0/8, " OUTLET_NETWORK
    ", 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3 } reject\n"
    "iifname \"" NET_BRIDGE "\" oifname \"" TAP "\" meta nfproto ipv4 accept\n"
    "}\n"
    "chain outward {\n"
    "type nat hook postrouting priority srcnat; policy accept;\n"
    "oifname \"" TAP "\" masquerade\n"
    "}\n"
    "}\n";

static int open_way(struct error *err)
{
	struct proc_options options = { .timeout_ms = NFT_TIMEOUT_MS };
	/* The rules first: nothing is forwarded without them. */
	int status = proc_run((const char *const[]){ "nft", rules, NULL }, &options, err);
	if (status < 0)
		return status;
	status = file_write("/proc/sys/net/ipv4/ip_forward", "1\n");
	return status < 0 ? error_sys(err, -status, "cannot switch forwarding on") : 0;
}

/* ---- the process ---- */

/* Who holds the lock: 0 for nobody. */
static pid_t holder(int file)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	return fcntl(file, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

/* A descriptor of the process that holds the lock; -ESRCH when there is none. */
static int find_process(const char *path)
{
	autoclose int file = open(path, O_RDWR | O_CLOEXEC);
	pid_t pid = file < 0 ? 0 : holder(file);
	if (pid <= 0)
		return -ESRCH;
	autoclose int process = (int)syscall(SYS_pidfd_open, pid, 0);
	/* Asked again now that the number cannot come to mean another one. */
	return process >= 0 && holder(file) == pid ? take_fd(process) : -ESRCH;
}

struct start {
	const struct outlet *outlet;
	int file;
	int own_group; /* -1: none */
	pid_t floatfs;
};

/*
 * Between fork and exec. One more fork, so that it is nobody's child; its lock is its own. Where floatfs was
 * killed meanwhile nobody might have seen the lock: then it does not start.
 */
static int become_independent(void *context)
{
	const struct start *start = context;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct rlimit files;
	pid_t pid = _Fork();
	if (pid != 0)
		_exit(pid < 0);
	if (setsid() < 0 || chdir("/") < 0 || dup2(start->file, 1) < 0 || dup2(start->file, 2) < 0)
		return -errno;
	/* A lock goes with the first of its file's descriptors that is closed: the others must be closed before. */
	close(start->file);
	if (fcntl(1, F_SETLK, &lock) < 0 || kill(start->floatfs, 0) < 0 ||
	    setns(start->outlet->machine, CLONE_NEWNET) < 0)
		return -errno;
	/* Where that is not allowed it stays in floatfs's group: it comes again when it is ended with that. */
	ssize_t moved = start->own_group >= 0 ? write(start->own_group, "0", 1) : 0;
	(void)moved;
	/* Each connection is a descriptor. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return 0;
}

/* slirp4netns writes "1" when it is; the end of the file says that it has ended. */
static int wait_ready(int ready, const char *path, struct error *err)
{
	char byte;
	struct pollfd waiting = { .fd = ready, .events = POLLIN };
	int status;
	do
		status = poll(&waiting, 1, READY_TIMEOUT_MS);
	while (status < 0 && errno == EINTR);
	if (status == 1 && read(ready, &byte, 1) == 1)
		return 0;
	autofree char *text = NULL;
	if (status == 1 && file_read(path, LOG_MAX, &text, NULL) == 0 && *text) {
		char *end = text + strlen(text) - 1;
		*end = *end == '\n' ? '\0' : *end;
		char *line = strrchr(text, '\n');
		return error_set(err, EIO, "slirp4netns ended: %s", line ? line + 1 : text);
	}
	return error_set(err, status == 1 ? EIO : ETIMEDOUT, "slirp4netns does not start");
}

static int run_slirp(const struct outlet *outlet, struct error *err)
{
	char process[16];
	/* Its standard input is the way to say that it is ready: no other descriptor is left open for it. */
	const char *const argv[] = { "slirp4netns",
				     "--configure",
				     "--mtu=1500", /* the hosts' */
				     "--cidr=" OUTLET_NETWORK,
				     "--disable-host-loopback",
				     "--enable-sandbox",
				     "--enable-seccomp",
				     "--ready-fd=0",
				     process,
				     TAP,
				     NULL };
	snprintf(process, sizeof(process), "%d", (int)getpid());
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_sys(err, errno, "cannot make a pipe");
	autoclose int ready = ends[0], say_ready = ends[1];
	autoclose int file = open(outlet->path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (file < 0)
		return error_sys(err, errno, "cannot open %s", outlet->path);
	autoclose int group = outlet->own_group ? open(outlet->own_group, O_WRONLY | O_CLOEXEC) : -1;
	struct start start = { outlet, file, group, getpid() };
	struct proc_options options = {
		.timeout_ms = READY_TIMEOUT_MS,
		.setup = become_independent,
		.setup_context = &start,
		.stdin_fd = say_ready,
	};
	int status = proc_run(argv, &options, err);
	close(take_fd(say_ready));
	return status < 0 ? status : wait_ready(ready, outlet->path, err);
}

int outlet_start(const struct outlet *outlet, struct error *err)
{
	autoclose int process = find_process(outlet->path);
	if (process >= 0)
		return 0;
	int status = open_way(err);
	if (status == 0)
		status = run_slirp(outlet, err);
	if (status < 0)
		outlet_stop(outlet->path, NULL);
	return status;
}

int outlet_stop(const char *path, struct error *err)
{
	autoclose int process = find_process(path);
	struct pollfd waiting = { .fd = process, .events = POLLIN };
	if (process >= 0) {
		if (syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
			return error_sys(err, errno, "cannot end slirp4netns");
		if (poll(&waiting, 1, END_TIMEOUT_MS) != 1)
			return error_set(err, ETIMEDOUT, "slirp4netns does not end");
	}
	unlink(path);
	return 0;
}

/* ---- names ---- */

char *outlet_resolver(void)
{
	static const char *const kept[] = { "search", "domain", "options" };
	autofree char *text = NULL;
	if (file_read("/etc/resolv.conf", RESOLVER_MAX, &text, NULL) < 0)
		return NULL;
	bool named = false;
	char *result = format_string("nameserver " OUTLET_RESOLVER "\n"), *rest = text, *line;
	while ((line = strsep(&rest, "\n"))) {
		char word[16];
		if (sscanf(line, "%15s", word) != 1)
			continue;
		named |= strcmp(word, "nameserver") == 0;
		for (size_t i = 0; i < array_length(kept); i++)
			if (strcmp(word, kept[i]) == 0) {
				char *longer = format_string("%s%s\n", result, line);
				free(result);
				result = longer;
			}
	}
	if (!named)
		free(take_pointer(result));
	return result;
}
