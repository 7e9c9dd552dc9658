/*
 * The first process of a job's container: init SCRIPT ARGUMENT...
 *
 * It starts the script as its child in a session of the script's own, reaps orphans, and ends as the script
 * did (init.h); the kernel then kills what is left in the pid namespace. So the script is an ordinary
 * process: signals have their default actions, and foreign zombies are not its own.
 *
 * It travels with the job: it lies on the work volume, whatever agent runs on the next host, and criu carries
 * it. So it is linked statically, holds nothing but 0, 1 and 2, keeps no state but where it waits, and must
 * stay able to end jobs that older versions of the keeper's agreement (init.h) started.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/init/init.h"

enum { FAILED = 127 };

static int report(int code)
{
	bool told = write(INIT_REPORT_FD, &code, sizeof(code)) == sizeof(code);
	return told ? FAILED : FAILED - 1;
}

static int run_script(char **argv, char **envp)
{
	setsid();
	execve(argv[0], argv, envp);
	return report(errno);
}

static int end_like(int how)
{
	if (!WIFSIGNALED(how))
		return WEXITSTATUS(how);
	prctl(PR_SET_NAME, INIT_KILLED, 0, 0, 0);
	return WTERMSIG(how);
}

int main(int argc, char **argv, char **envp)
{
	if (argc < 2 || fcntl(INIT_REPORT_FD, F_SETFD, FD_CLOEXEC) < 0)
		return FAILED;
	pid_t script = fork();
	if (script < 0)
		return report(errno);
	if (script == 0)
		return run_script(argv + 1, envp);
	close(INIT_REPORT_FD);
	for (int how;;) {
		pid_t pid = waitpid(-1, &how, __WALL);
		if (pid == script)
			return end_like(how);
		if (pid < 0 && errno != EINTR)
			return FAILED;
	}
}
