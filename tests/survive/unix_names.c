/*
 * Unix sockets and their names: a listener keeps its own, datagram sockets theirs and their peer's; who connects or sends
 * after the move is known by name, process and user.
 */
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/survive/survive.h"

enum { OTHER_UID = 1001, OTHER_GID = 1002 };

static struct shared {
	volatile int asked;
} * shared;

static struct sockaddr_un name_of(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	return name;
}

static int make_named(int type, const char *path)
{
	struct sockaddr_un name = name_of(path);
	int fd = socket(AF_UNIX, type, 0);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 && chmod(path, 0777) == 0);
	return fd;
}

static void connect_to(int fd, const char *path)
{
	struct sockaddr_un name = name_of(path);
	check(connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0);
}

static void check_name(int fd, const char *wanted, bool peer)
{
	struct sockaddr_un name = { 0 };
	socklen_t length = sizeof(name);
	check((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&name, &length) == 0);
	check(!strcmp(name.sun_path, wanted));
}

/* Of another user where the job is root's: each time it is asked it connects and sends. */
static void be_client(void)
{
	if (getuid() == 0)
		check(setgid(OTHER_GID) == 0 && setuid(OTHER_UID) == 0);
	for (int seen = 0;; survive_sleep_ms(5)) {
		if (seen == shared->asked)
			continue;
		int stream = socket(AF_UNIX, SOCK_STREAM, 0), datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
		connect_to(stream, "listener");
		check_name(stream, "listener", true);
		connect_to(datagram, "receiver");
		check(send(datagram, "x", 1, 0) == 1);
		check(close(stream) == 0 && close(datagram) == 0);
		seen++;
	}
}

static void check_client(const struct ucred *who, pid_t client)
{
	bool root = getuid() == 0;
	check(who->pid == client && who->uid == (root ? OTHER_UID : getuid()) &&
	      who->gid == (root ? OTHER_GID : getgid()));
}

/* It does not come when the client has said what did not hold, and ended. */
static void wait_for(int fd)
{
	struct pollfd waiting = { .fd = fd, .events = POLLIN };
	check(poll(&waiting, 1, 10000) == 1);
}

static void check_connection(int listener, pid_t client)
{
	struct ucred who = { 0 };
	socklen_t length = sizeof(who);
	wait_for(listener);
	int server = accept(listener, NULL, NULL);
	check(server >= 0 && getsockopt(server, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0);
	check_client(&who, client);
	check_name(server, "listener", false);
	check(close(server) == 0);
}

static void check_message(int receiver, pid_t client)
{
	char byte, control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct ucred who;
	wait_for(receiver);
	check(recvmsg(receiver, &message, 0) == 1);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	check(header && header->cmsg_type == SCM_CREDENTIALS);
	memcpy(&who, CMSG_DATA(header), sizeof(who));
	check_client(&who, client);
}

int main(void)
{
	int one = 1;
	shared = survive_shared(sizeof(*shared));
	check(chmod(".", 0777) == 0);
	int listener = make_named(SOCK_STREAM, "listener"), receiver = make_named(SOCK_DGRAM, "receiver"),
	    left = make_named(SOCK_DGRAM, "left"), right = make_named(SOCK_DGRAM, "right");
	check(listen(listener, 5) == 0);
	check(setsockopt(receiver, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) == 0);
	connect_to(left, "right");
	connect_to(right, "left");
	pid_t client = fork();
	if (client == 0)
		be_client();
	do {
		check_name(listener, "listener", false);
		check_name(left, "left", false);
		check_name(left, "right", true);
		check_name(right, "left", true);
		shared->asked++;
		check_connection(listener, client);
		check_message(receiver, client);
	} while (survive_moved());
	survive_kill_child(client);
	survive_ok();
	return 0;
}
