/* File locks: flock, fcntl's of a process and of an open file, of whole files and ranges, still keep others
 * out. */
#include <sys/file.h>

#include "tests/survive/survive.h"

/* Another process, with a descriptor of its own: what does it get? */
static int other_gets(const char *name, int command, struct flock lock)
{
	int status;
	pid_t child = fork();
	check(child >= 0);
	if (child == 0) {
		int fd = open(name, O_RDWR), got;
		if (command == 0)
			got = flock(fd, LOCK_EX | LOCK_NB);
		else
			got = fcntl(fd, command, &lock);
		_exit(got == 0 ? 0 : errno == EAGAIN || errno == EACCES ? 1 : 2);
	}
	check(waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

int main(void)
{
	static const char *const names[] = { "flock", "posix", "ofd" };
	struct flock low = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10 },
		     high = low;
	int fd[3];
	for (int i = 0; i < 3; i++) {
		fd[i] = open(names[i], O_RDWR | O_CREAT, 0600);
		check(fd[i] >= 0);
	}
	high.l_start = 30;
	check(flock(fd[0], LOCK_EX) == 0 && !fcntl(fd[1], F_SETLK, &low) && !fcntl(fd[2], F_OFD_SETLK, &low));
	while (survive_moved()) {
		check(other_gets("flock", 0, low) == 1);
		check(other_gets("posix", F_SETLK, low) == 1 && other_gets("posix", F_SETLK, high) == 0);
		check(other_gets("ofd", F_OFD_SETLK, low) == 1 && other_gets("ofd", F_OFD_SETLK, high) == 0);
		/* A child has inherited this open file, whose lock it is. */
		pid_t child = fork();
		if (child == 0)
			_exit(fcntl(fd[2], F_OFD_SETLK, &low) || flock(fd[0], LOCK_EX | LOCK_NB));
		survive_wait_child(child, 0);
	}
	check(flock(fd[0], LOCK_UN) == 0 && other_gets("flock", 0, low) == 0);
	survive_ok();
	return 0;
}
