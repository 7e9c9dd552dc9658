/* A pipe between two processes keeps what is in it, and its ends. */
#include <signal.h>
#include <sys/wait.h>

#include "tests/survive/survive.h"

int main(void)
{
	static const char text[] = "written before, read after";
	int down[2], up[2];
	check(pipe(down) == 0 && pipe(up) == 0);
	fflush(stdout);
	pid_t child = fork();
	check(child >= 0);
	if (child == 0) {
		char byte;
		close(down[1]);
		close(up[0]);
		/* Waits for the end of the pipe without having read: the text stays in it. */
		while (read(down[0], &byte, 1) == 1)
			if (write(up[1], &byte, 1) != 1)
				_exit(2);
		_exit(7);
	}
	close(down[0]);
	close(up[1]);
	check(kill(child, SIGSTOP) == 0);
	check(write(down[1], text, sizeof(text)) == (ssize_t)sizeof(text));

	survive_move();

	char back[sizeof(text)] = "";
	check(kill(child, SIGCONT) == 0);
	for (size_t got = 0; got < sizeof(text);) {
		ssize_t length = read(up[0], back + got, sizeof(text) - got);
		check(length > 0);
		got += (size_t)length;
	}
	check(!memcmp(back, text, sizeof(text)));
	close(down[1]);
	int status;
	check(waitpid(child, &status, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	survive_ok();
	return 0;
}
