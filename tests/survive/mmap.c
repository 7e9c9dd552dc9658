/* Memory mappings (private, shared, of a file, locked, guarded) keep content, protection and sharing. */
#include <setjmp.h>

#include "tests/survive/survive.h"

enum { SIZE = 1 << 20 };

static sigjmp_buf back;

static void fault(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

/* Volatile, or the compiler knows that nothing comes of it. */
static int faults(volatile unsigned char *at, int write)
{
	if (sigsetjmp(back, 1))
		return 1;
	if (write)
		*at = 1;
	else
		(void)*at;
	return 0;
}

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 2654435761u >> 13);
}

static int is_filled(const unsigned char *memory)
{
	for (size_t i = 0; i < SIZE; i++)
		if (memory[i] != pattern(i))
			return 0;
	return 1;
}

int main(void)
{
	struct sigaction action = { .sa_handler = fault };
	int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600), rw = PROT_READ | PROT_WRITE;
	check(fd >= 0 && ftruncate(fd, SIZE) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
	unsigned char *all[] = {
		mmap(NULL, SIZE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		mmap(NULL, SIZE, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
		mmap(NULL, SIZE, rw, MAP_SHARED, fd, 0),
		mmap(NULL, SIZE, rw, MAP_PRIVATE, fd, 0),
	};
	unsigned char *guard = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 4; i++) {
		check(all[i] != MAP_FAILED);
		for (size_t at = 0; at < SIZE; at++)
			all[i][at] = pattern(at);
	}
	check(mprotect(all[0], SIZE, PROT_READ) == 0 && mlock(all[1], 16384) == 0 && guard != MAP_FAILED);
	while (survive_moved()) {
		for (int i = 0; i < 4; i++)
			check(is_filled(all[i]));
		check(faults(all[0], 1) && faults(guard, 0) && !faults(all[0], 0));
		/* What a child writes is seen through a shared mapping, and not through a private one. */
		pid_t child = fork();
		check(child >= 0);
		if (child == 0) {
			for (int i = 1; i < 4; i++)
				all[i][5] = 42;
			_exit(0);
		}
		survive_wait_child(child, 0);
		unsigned char byte;
		check(all[1][5] == 42 && all[2][5] == 42 && all[3][5] == pattern(5));
		check(pread(fd, &byte, 1, 5) == 1 && byte == 42);
		all[1][5] = all[2][5] = pattern(5);
	}
	survive_ok();
	return 0;
}
