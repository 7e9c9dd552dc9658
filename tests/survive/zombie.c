/* Children that have ended and were not waited for keep their exit codes and signals; pids stay. */
#include "tests/survive/survive.h"

static pid_t make(int code, int signal)
{
	siginfo_t info;
	pid_t child = fork();
	check(child >= 0);
	if (child == 0) {
		if (signal)
			raise(signal);
		_exit(code);
	}
	check(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
	return child;
}

int main(void)
{
	int status;
	pid_t self = getpid(), parent = getppid();
	do {
		pid_t ended = make(42, 0), killed = make(0, SIGKILL), stays = 0;
		/* A zombie that is parent of one that lives, and leads its group. */
		stays = fork();
		if (stays == 0) {
			setpgid(0, 0);
			if (fork() == 0)
				for (int i = 0; i < 1000 && getppid() != 1; i++)
					survive_sleep_ms(10);
			_exit(3);
		}
		bool moved = survive_moved();
		check(getpid() == self && getppid() == parent);
		check(waitpid(ended, &status, 0) == ended && WIFEXITED(status) && WEXITSTATUS(status) == 42);
		check(waitpid(killed, &status, 0) == killed && WIFSIGNALED(status) &&
		      WTERMSIG(status) == SIGKILL);
		check(waitpid(stays, &status, 0) == stays && WEXITSTATUS(status) == 3);
		if (!moved)
			break;
	} while (true);
	survive_ok();
	return 0;
}
