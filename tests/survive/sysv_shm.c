/* SysV shared memory: attached by two processes, found by its key, and one that is marked to be removed. */
#include <sys/ipc.h>
#include <sys/shm.h>

#include "tests/survive/survive.h"

int main(void)
{
	struct shmid_ds info;
	int id = shmget(0x5eed1, 65536, IPC_CREAT | IPC_EXCL | 0640),
	    removed = shmget(IPC_PRIVATE, 4096, 0600);
	check(id >= 0 && removed >= 0);
	volatile int *memory = shmat(id, NULL, 0);
	char *going = shmat(removed, NULL, 0);
	check(memory != (void *)-1 && going != (void *)-1 && shmctl(removed, IPC_RMID, NULL) == 0);
	strcpy(going, "removed, and still attached");
	pid_t child = fork();
	if (child == 0)
		for (;;) {
			memory[1] = memory[0] + 1;
			survive_sleep_ms(2);
		}
	while (survive_moved()) {
		memory[0] = 10 * (int)survive_moves;
		check_soon(memory[1] == memory[0] + 1);
		check(shmget(0x5eed1, 0, 0) == id && shmctl(id, IPC_STAT, &info) == 0);
		check(info.shm_nattch == 2 && info.shm_segsz == 65536 && (info.shm_perm.mode & 0777) == 0640);
		check(!strcmp(going, "removed, and still attached"));
	}
	survive_kill_child(child);
	check(shmctl(id, IPC_RMID, NULL) == 0 && shmdt(going) == 0);
	survive_ok();
	return 0;
}
