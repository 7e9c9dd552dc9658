/* A pipe between two processes keeps what is in it, its ends and its size. */
#include "tests/survive/survive.h"

int main(void)
{
	static const char text[] = "written before, read after";
	char back[sizeof(text)] = "";
	int down[2], up[2];
	check(pipe(down) == 0 && pipe(up) == 0);
	int size = fcntl(down[1], F_SETPIPE_SZ, 16384);
	check(size == 16384);
	pid_t child = fork();
	check(child >= 0);
	if (child == 0) {
		char byte;
		close(down[1]);
		close(up[0]);
		while (read(down[0], &byte, 1) == 1)
			if (write(up[1], &byte, 1) != 1)
				_exit(2);
		_exit(7);
	}
	close(down[0]);
	close(up[1]);
	check(kill(child, SIGSTOP) == 0);
	/* The child is stopped: what is written stays in the pipe. */
	check(write(down[1], text, sizeof(text)) == (ssize_t)sizeof(text));
	while (survive_moved()) {
		check(kill(child, SIGCONT) == 0);
		for (size_t got = 0; got < sizeof(text);) {
			ssize_t length = read(up[0], back + got, sizeof(text) - got);
			check(length > 0);
			got += (size_t)length;
		}
		check(!memcmp(back, text, sizeof(text)) && fcntl(down[1], F_GETPIPE_SZ) == size);
		check(kill(child, SIGSTOP) == 0);
		check(write(down[1], text, sizeof(text)) == (ssize_t)sizeof(text));
	}
	check(kill(child, SIGCONT) == 0);
	close(down[1]);
	survive_wait_child(child, 7);
	survive_ok();
	return 0;
}
