/* semop, semtimedop and msgrcv in progress end neither early nor late, nor with an error. */
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "tests/survive/waits.h"

static const struct timespec time_span = WAITS_TIMESPEC;
static int semaphores, queue;

static int run_semtimedop(void)
{
	struct sembuf down = { .sem_num = 0, .sem_op = -1 };
	return semtimedop(semaphores, &down, 1, &time_span) < 0 && errno == EAGAIN ? 0 : -1;
}

static int run_semop(void)
{
	struct sembuf down = { .sem_num = 1, .sem_op = -1 };
	return semop(semaphores, &down, 1);
}

static int run_msgrcv(void)
{
	struct msgbuf message;
	return msgrcv(queue, &message, 1, 5, 0) == 1 ? 0 : -1;
}

static void wake_semop(void)
{
	check(semop(semaphores, &(struct sembuf){ .sem_num = 1, .sem_op = 1 }, 1) == 0);
}

static void wake_msgrcv(void)
{
	check(msgsnd(queue, &(struct msgbuf){ .mtype = 5 }, 1, 0) == 0);
}

static const struct survive_wait waits[] = {
	{ "semtimedop", run_semtimedop, NULL },
	{ "semop", run_semop, wake_semop },
	{ "msgrcv", run_msgrcv, wake_msgrcv },
};

int main(void)
{
	semaphores = semget(IPC_PRIVATE, 2, 0600);
	queue = msgget(IPC_PRIVATE, 0600);
	check(semaphores >= 0 && queue >= 0);
	return survive_waits(waits, sizeof(waits) / sizeof(*waits));
}
