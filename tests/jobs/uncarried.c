/*
 * A job that holds what criu cannot carry: uncarried LOG-DIRECTORY vsock | landlock
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
#include <unistd.h>

static volatile sig_atomic_t terms;

static void count_term(int signal)
{
	(void)signal;
	terms++;
}

static int open_thing(const char *kind)
{
	struct landlock_ruleset_attr rules = { .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE };
	if (strcmp(kind, "vsock") == 0)
		return socket(AF_VSOCK, SOCK_STREAM, 0);
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
