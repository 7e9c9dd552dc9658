/* POSIX message queues, which criu does not carry, are not there: mq_open and mq_unlink say ENOSYS, before a move and after
 * it. */
#include <mqueue.h>

#include "tests/survive/survive.h"

static void check_refused(void)
{
	errno = 0;
	check(mq_open("/survive", O_RDWR | O_CREAT, 0600, NULL) == (mqd_t)-1 && errno == ENOSYS);
	errno = 0;
	check(mq_unlink("/survive") == -1 && errno == ENOSYS);
}

int main(void)
{
	check_refused();
	while (survive_moved())
		check_refused();
	survive_ok();
	return 0;
}
