/* An eventfd that is a semaphore still gives one at a time. */
#include <sys/eventfd.h>

#include "tests/survive/survive.h"

int main(void)
{
	eventfd_t value;
	int fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	check(fd >= 0);
	while (survive_moved()) {
		for (int i = 0; i < 2; i++)
			check(eventfd_read(fd, &value) == 0 && value == 1);
		check(eventfd_read(fd, &value) < 0 && errno == EAGAIN && eventfd_write(fd, 2) == 0);
	}
	survive_ok();
	return 0;
}
