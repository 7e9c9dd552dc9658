/* A named pipe between processes keeps what is in it; one opened without a partner can still be opened by
 * one. */
#include <sys/stat.h>

#include "tests/survive/survive.h"

int main(void)
{
	char text[32] = "";
	check(mkfifo("fifo", 0600) == 0 && mkfifo("lonely", 0600) == 0);
	int lonely = open("lonely", O_RDONLY | O_NONBLOCK);
	check(lonely >= 0);
	pid_t child = fork();
	check(child >= 0);
	if (child == 0) {
		int in = open("fifo", O_RDONLY);
		check(in >= 0 && read(in, text, 5) == 5 && !memcmp(text, "first", 5));
		raise(SIGSTOP);
		check(read(in, text, sizeof(text)) == 6 && !memcmp(text, "second", 6));
		check(read(in, text, sizeof(text)) == 0);
		_exit(5);
	}
	int out = open("fifo", O_WRONLY);
	check(out >= 0 && write(out, "first", 5) == 5);
	int status;
	check(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	check(write(out, "second", 6) == 6);
	while (survive_moved()) {
		int again = open("lonely", O_WRONLY | O_NONBLOCK);
		check(again >= 0 && write(again, "x", 1) == 1 && close(again) == 0);
		check(read(lonely, text, sizeof(text)) == 1 && read(lonely, text, sizeof(text)) == 0);
	}
	check(kill(child, SIGCONT) == 0 && close(out) == 0);
	survive_wait_child(child, 5);
	survive_ok();
	return 0;
}
