/* What prctl sets: the name, the signal at the parent's death, dumpability; and the command line and
 * environment. */
#include <sys/prctl.h>

#include "tests/survive/survive.h"

int main(int argc, char **argv)
{
	char name[16], line[4096] = "", now[4096] = "";
	int signal = 0;
	if (argc == 1) {
		setenv("OF_THE_PROGRAM", "its environment", 1);
		execv("/proc/self/exe", (char *[]){ argv[0], "an argument", NULL });
		check(!"execv");
	}
	int fd = open("/proc/self/cmdline", O_RDONLY);
	check(fd >= 0 && read(fd, line, sizeof(line)) > 0 && close(fd) == 0);
	check(prctl(PR_SET_NAME, "survivor") == 0 && prctl(PR_SET_DUMPABLE, 0) == 0);
	volatile int *ready = survive_shared(sizeof(*ready));
	/* Its child ends with it, also on another host. */
	pid_t child = fork();
	if (child == 0) {
		pid_t grandchild = fork();
		if (grandchild == 0) {
			check(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
			*ready = getpid();
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
	check_soon(*ready);
	while (survive_moved()) {
		check(prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "survivor"));
		check(prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == 0);
		check(!strcmp(getenv("OF_THE_PROGRAM"), "its environment") &&
		      !strcmp(argv[1], "an argument"));
		check(prctl(PR_SET_DUMPABLE, 1) == 0);
		fd = open("/proc/self/cmdline", O_RDONLY);
		check(fd >= 0 && read(fd, now, sizeof(now)) > 0 && close(fd) == 0 &&
		      !memcmp(line, now, sizeof(line)));
		check(prctl(PR_SET_DUMPABLE, 0) == 0 && kill(*ready, 0) == 0);
	}
	survive_kill_child(child);
	check_soon(kill(*ready, 0) < 0 && errno == ESRCH);
	survive_ok();
	return 0;
}
