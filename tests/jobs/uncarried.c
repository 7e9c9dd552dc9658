/*
 * A job that holds what criu cannot carry: uncarried LOG-DIRECTORY vsock | landlock | message
 *
 * It says `holding`, and then counts, a line every 20 ms. On SIGTERM it lets go of it and says `let go`; a second
 * one ends it.
 */
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static volatile sig_atomic_t terms;

static void count_term(int signal)
{
	(void)signal;
	terms++;
}

/* A socket with a message in it that has the credentials of its sender, which is itself. */
static int open_message(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t length = sizeof(name.sun_family); /* the kernel finds a name */
	int one = 1, fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (bind(fd, (struct sockaddr *)&name, length) < 0)
		return -1;
	length = sizeof(name);
	if (getsockname(fd, (struct sockaddr *)&name, &length) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ||
	    sendto(fd, "x", 1, 0, (struct sockaddr *)&name, length) != 1)
		return -1;
	return fd;
}

static int open_thing(const char *kind)
{
	struct landlock_ruleset_attr rules = { .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE };
	if (strcmp(kind, "vsock") == 0)
		return socket(AF_VSOCK, SOCK_STREAM, 0);
	if (strcmp(kind, "message") == 0)
		return open_message();
	return (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = count_term };
	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGTERM, &action, NULL);
	int fd = argc > 2 ? open_thing(argv[2]) : -1;
	if (fd < 0) {
		perror("cannot open it");
		return 77; /* this kernel has none: nothing to be tested */
	}
	printf("holding\n");
	for (unsigned long n = 1; terms < 2; n++) {
		printf("%lu\n", n);
		usleep(20000);
		if (terms == 1 && fd >= 0) {
			close(fd);
			fd = -1;
			printf("let go\n");
		}
	}
	return 0;
}
