#include "agent/keeper_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/keeper.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"

enum { START_TIMEOUT_MS = 45000, LOOK_MS = 5 };

static int connect_to(const char *directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" KEEPER_SOCKET, directory);
	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == ENOENT ? -ECONNREFUSED : -errno;
	return take_fd(fd);
}

/* -EWOULDBLOCK: there is a keeper, or it is coming up or going. */
static int take_lock(const char *directory, bool make)
{
	autofree char *path = format_string("%s/" KEEPER_LOCK, directory);
	autoclose int fd = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return take_fd(fd);
}

/*
 * A connection. -ECONNREFUSED: there is no keeper, and none that somebody has started and that is on its way; then
 * *lock, where it is asked for, is the caller's: nobody else can start one.
 */
static int reach(const char *directory, int *lock)
{
	int64_t end = clock_monotonic_ms() + START_TIMEOUT_MS;
	for (;;) {
		int fd = connect_to(directory);
		if (fd != -ECONNREFUSED)
			return fd;
		int taken = take_lock(directory, lock != NULL);
		if (taken >= 0 && lock)
			*lock = taken;
		else if (taken >= 0)
			close(taken);
		if (taken >= 0 || taken == -ENOENT)
			return -ECONNREFUSED;
		if (taken != -EWOULDBLOCK)
			return taken;
		if (clock_monotonic_ms() >= end)
			return -ETIMEDOUT;
		clock_sleep_ms(LOOK_MS);
	}
}

static int send_request(int fd, const char *verb, json_object *fields)
{
	autojson json_object *request = json_object_new_object();
	if (fields) {
		json_object_object_foreach(fields, key, value)
		{
			json_object_object_add(request, key, json_object_get(value));
		}
	}
	json_set_string(request, "do", verb);
	size_t length;
	const char *text = json_object_to_json_string_length(request, JSON_C_TO_STRING_PLAIN, &length);
	return send(fd, text, length, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* One packet; -EPIPE at the end of the connection. */
static int receive(int fd, int timeout_ms, json_object **object, struct error *err)
{
	autofree char *packet = malloc(KEEPER_PACKET_MAX);
	struct pollfd waiting = { .fd = fd, .events = POLLIN };
	int ready;
	do
		ready = poll(&waiting, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready == 0)
		return -ETIMEDOUT;
	ssize_t length = packet ? recv(fd, packet, KEEPER_PACKET_MAX - 1, 0) : -1;
	if (length <= 0)
		return -EPIPE;
	packet[length] = '\0';
	return json_parse_object(packet, (size_t)length, object, err);
}

int keeper_call(const char *directory, const char *verb, json_object *fields, int timeout_ms,
		json_object **reply, struct error *err)
{
	autojson json_object *answer = NULL;
	autoclose int fd = reach(directory, NULL);
	if (fd < 0)
		return error_sys(err, -fd, "the job's keeper cannot be reached");
	int status = send_request(fd, verb, fields);
	if (status == 0)
		status = receive(fd, timeout_ms, &answer, err);
	if (status < 0)
		return error_sys(err, -status, "the job's keeper did not answer to %s", verb);
	int code = (int)json_get_int(answer, "errno", EIO);
	if (code)
		error_set(err, code, "%s", json_get_string(answer, "sentence", "the keeper refused"));
	if (reply)
		*reply = take_pointer(answer);
	return -code;
}

void keeper_kill(const char *directory)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	autoclose int fd = connect_to(directory);
	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.pid > 0)
		kill(peer.pid, SIGKILL);
}

int keeper_watch(const char *directory)
{
	autoclose int fd = reach(directory, NULL);
	int status = fd < 0 ? fd : send_request(fd, "watch", NULL);
	return status < 0 ? status : take_fd(fd);
}

int keeper_wait(int fd, json_object **exit)
{
	autojson json_object *event = NULL;
	int status = receive(fd, -1, &event, NULL);
	if (status < 0)
		return status;
	json_object *object = json_get_object(event, "exit");
	if (!object)
		return -EPROTO;
	*exit = json_object_get(object);
	return 0;
}

int keeper_quit(const char *directory, int timeout_ms, struct error *err)
{
	autojson json_object *answer = NULL;
	autoclose int fd = reach(directory, NULL);
	if (fd == -ECONNREFUSED)
		return 0;
	if (fd < 0)
		return error_sys(err, -fd, "the job's keeper cannot be reached");
	int status = send_request(fd, "quit", NULL);
	if (status == 0)
		status = receive(fd, timeout_ms, &answer, err);
	if (status == -EPIPE)
		return 0;
	if (status < 0)
		return error_sys(err, -status, "the job's keeper does not end");
	return error_set(err, (int)json_get_int(answer, "errno", EIO), "%s",
			 json_get_string(answer, "sentence", "the job's keeper does not end"));
}

/* In a fork of a process with threads: system calls only. */
static __attribute__((noreturn)) void become_keeper(const char *directory, int report, int lock)
{
	char *const argv[] = { "float-agent", "keeper", (char *)directory, NULL };
	/* Twice, so that the host's init is its parent; a session of its own, so that no signal for the
	 * agent's meets it. */
	if (setsid() < 0)
		_exit(1);
	pid_t pid = _Fork();
	if (pid != 0)
		_exit(pid < 0);
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(report, 1) < 0 || chdir("/") < 0)
		_exit(1);
	/* It may be that number already, to be closed at an exec. */
	if (dup2(lock, KEEPER_LOCK_FD) < 0 || fcntl(KEEPER_LOCK_FD, F_SETFD, 0) < 0)
		_exit(1);
	syscall(SYS_close_range, (unsigned)KEEPER_LOCK_FD + 1, ~0U, 0U);
	extern char **environ;
	execve("/proc/self/exe", argv, environ);
	_exit(1);
}

/* What a keeper that was just started says about how it came up. */
static int await_report(int fd, struct error *err)
{
	char text[1024];
	size_t used = 0;
	struct pollfd waiting = { .fd = fd, .events = POLLIN };
	while (used < sizeof(text) - 1 && poll(&waiting, 1, START_TIMEOUT_MS) > 0) {
		ssize_t got = read(fd, text + used, sizeof(text) - 1 - used);
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	text[used] = '\0';
	autojson json_object *reply = NULL;
	if (json_parse_object(text, used, &reply, NULL) < 0)
		return error_set(err, EIO, "the job's keeper did not come up");
	int code = (int)json_get_int(reply, "errno", EIO);
	return code ? error_set(err, code, "%s",
				json_get_string(reply, "sentence", "the job's keeper did not come up"))
		    : 0;
}

int keeper_start(const char *directory, struct error *err)
{
	autoclose int lock = -1;
	autoclose int there = reach(directory, &lock);
	if (there >= 0)
		return 0;
	if (there != -ECONNREFUSED)
		return error_sys(err, -there, "the job's keeper cannot be reached");
	/* One that was killed left a dead mount. */
	autofree char *tree = format_string("%s/float", directory);
	umount2(tree, MNT_DETACH);

	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_sys(err, errno, "cannot make a pipe");
	autoclose int reader = ends[0], writer = ends[1];
	pid_t pid = _Fork();
	if (pid == 0)
		become_keeper(directory, writer, lock);
	int code = errno;
	close(take_fd(writer));
	if (pid < 0)
		return error_sys(err, code, "cannot start the job's keeper");
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return await_report(reader, err);
}
