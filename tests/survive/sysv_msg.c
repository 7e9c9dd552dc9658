/* SysV message queues keep their messages, types and order. */
#include <sys/ipc.h>
#include <sys/msg.h>

#include "tests/survive/survive.h"

struct message {
	long type;
	char text[32];
};

int main(void)
{
	struct message message;
	int id = msgget(0x5eed3, IPC_CREAT | IPC_EXCL | 0600);
	check(id >= 0);
	for (int i = 0; i < 6; i++) {
		message = (struct message){ .type = 1 + i % 2 };
		snprintf(message.text, sizeof(message.text), "message %d", i);
		check(msgsnd(id, &message, sizeof(message.text), 0) == 0);
	}
	while (survive_moved()) {
		struct msqid_ds info;
		check(msgget(0x5eed3, 0) == id && msgctl(id, IPC_STAT, &info) == 0 && info.msg_qnum == 6);
		/* All of type 2, then all of type 1, and back in their order. */
		static const int order[] = { 1, 3, 5, 0, 2, 4 };
		for (int i = 0; i < 6; i++) {
			char wanted[32];
			snprintf(wanted, sizeof(wanted), "message %d", order[i]);
			check(msgrcv(id, &message, sizeof(message.text), i < 3 ? 2 : 0, IPC_NOWAIT) == 32);
			check(!strcmp(message.text, wanted) && message.type == (i < 3 ? 2 : 1));
		}
		for (int i = 0; i < 6; i++) {
			message = (struct message){ .type = 1 + i % 2 };
			snprintf(message.text, sizeof(message.text), "message %d", i);
			check(msgsnd(id, &message, sizeof(message.text), 0) == 0);
		}
	}
	check(msgctl(id, IPC_RMID, NULL) == 0);
	survive_ok();
	return 0;
}
