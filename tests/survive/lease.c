/* A lease on a file: it is still held, and another's open tells its holder. */
#include "tests/survive/survive.h"

static volatile sig_atomic_t told;

static void tell(int signal)
{
	(void)signal;
	told++;
}

int main(void)
{
	struct sigaction action = { .sa_handler = tell, .sa_flags = SA_RESTART };
	int fd = open("leased", O_RDWR | O_CREAT, 0600);
	check(fd >= 0 && sigaction(SIGIO, &action, NULL) == 0);
	check(fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
	while (survive_moved()) {
		int before = told;
		check(fcntl(fd, F_GETLEASE) == F_WRLCK);
		pid_t child = fork();
		if (child == 0)
			_exit(open("leased", O_RDONLY | O_NONBLOCK) < 0 && errno == EWOULDBLOCK ? 0 : 1);
		/* It holds what is leased, too: by the descriptor that it inherited. */
		survive_wait_child(child, 0);
		check_soon(told > before);
		check(fcntl(fd, F_SETLEASE, F_UNLCK) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
	}
	survive_ok();
	return 0;
}
