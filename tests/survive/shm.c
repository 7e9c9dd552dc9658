/* POSIX shared memory: two processes share it, by its name, by a descriptor, and after it was unlinked. */
#include "tests/survive/survive.h"

enum { SIZE = 65536 };

static volatile int *map(int fd)
{
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(memory != MAP_FAILED);
	return memory;
}

int main(void)
{
	int named = shm_open("/survive-named", O_RDWR | O_CREAT | O_EXCL, 0600);
	int unlinked = shm_open("/survive-unlinked", O_RDWR | O_CREAT | O_EXCL, 0600);
	check(named >= 0 && unlinked >= 0 && !ftruncate(named, SIZE) && !ftruncate(unlinked, SIZE));
	check(shm_unlink("/survive-unlinked") == 0);
	volatile int *one = map(named), *two = map(unlinked);
	pid_t child = fork();
	check(child >= 0);
	if (child == 0) {
		for (;;) {
			one[1] = one[0] + 1;
			two[1] = two[0] + 1;
			survive_sleep_ms(2);
		}
	}
	while (survive_moved()) {
		one[0] = 1000 * (int)survive_moves;
		two[0] = 2000 * (int)survive_moves;
		check_soon(one[1] == one[0] + 1 && two[1] == two[0] + 1);
		int again = shm_open("/survive-named", O_RDWR, 0);
		int number = 0;
		check(again >= 0 && pread(again, &number, sizeof(number), 0) == sizeof(number) &&
		      number == one[0]);
		close(again);
		check(shm_open("/survive-unlinked", O_RDWR, 0) < 0);
		check(pread(unlinked, &number, sizeof(number), 0) == sizeof(number) && number == two[0]);
	}
	survive_kill_child(child);
	check(shm_unlink("/survive-named") == 0);
	survive_ok();
	return 0;
}
