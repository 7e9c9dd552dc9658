/* SysV semaphores: values and keys stay. */
#include <sys/ipc.h>
#include <sys/sem.h>

#include "tests/survive/survive.h"

union semun {
	int val;
	struct semid_ds *buf;
};

int main(void)
{
	struct semid_ds info;
	int id = semget(0x5eed2, 5, IPC_CREAT | IPC_EXCL | 0600);
	check(id >= 0);
	for (int i = 0; i < 5; i++)
		check(semctl(id, i, SETVAL, (union semun){ .val = 10 * i }) == 0);
	while (survive_moved()) {
		check(semget(0x5eed2, 5, 0) == id);
		for (int i = 0; i < 5; i++)
			check(semctl(id, i, GETVAL) == 10 * i);
		check(semop(id, &(struct sembuf){ .sem_num = 4, .sem_op = -1 }, 1) == 0);
		check(semop(id, &(struct sembuf){ .sem_num = 4, .sem_op = 1 }, 1) == 0);
		check(semctl(id, 0, IPC_STAT, (union semun){ .buf = &info }) == 0 && info.sem_nsems == 5);
	}
	check(semctl(id, 0, IPC_RMID) == 0);
	survive_ok();
	return 0;
}
