/* POSIX message queues, where the job has them (a mounted /dev/mqueue): messages and priorities stay. */
#include <mqueue.h>

#include "tests/survive/survive.h"

int main(void)
{
	char text[64];
	unsigned priority;
	if (access("/dev/mqueue", F_OK) < 0) {
		while (survive_moved())
			;
		survive_ok();
		return 0;
	}
	struct mq_attr attributes = { .mq_maxmsg = 4, .mq_msgsize = sizeof(text) };
	mqd_t queue = mq_open("/survive", O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
	check(queue >= 0 && mq_send(queue, "low", 4, 1) == 0 && mq_send(queue, "high", 5, 9) == 0);
	while (survive_moved()) {
		check(mq_receive(queue, text, sizeof(text), &priority) == 5 && priority == 9);
		check(!strcmp(text, "high") && mq_send(queue, "high", 5, 9) == 0);
	}
	check(mq_unlink("/survive") == 0);
	survive_ok();
	return 0;
}
