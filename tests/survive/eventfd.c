/* An eventfd keeps its count and flags. */
#include <sys/eventfd.h>

#include "tests/survive/survive.h"

int main(void)
{
	eventfd_t value;
	int fd = eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC), empty = eventfd(0, EFD_NONBLOCK);
	check(fd >= 0 && empty >= 0);
	while (survive_moved()) {
		check(eventfd_read(fd, &value) == 0 && value == 5);
		check(eventfd_read(fd, &value) < 0 && errno == EAGAIN);
		check(fcntl(fd, F_GETFD) == FD_CLOEXEC && eventfd_write(fd, 5) == 0);
		check(eventfd_read(empty, &value) < 0 && errno == EAGAIN);
	}
	survive_ok();
	return 0;
}
