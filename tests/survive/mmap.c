/* Memory of all kinds keeps its content, protection and sharing; a mapped file is still the file. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/survive/survive.h"

enum { SIZE = 4 << 20 };

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 2654435761u >> 13);
}

static void fill(unsigned char *memory)
{
	for (size_t i = 0; i < SIZE; i++)
		memory[i] = pattern(i);
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
	unsigned char *private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = open("/data/mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
	check(fd >= 0 && ftruncate(fd, SIZE) == 0);
	unsigned char *file = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(private != MAP_FAILED && shared != MAP_FAILED && file != MAP_FAILED);
	fill(private);
	fill(shared);
	fill(file);
	check(mprotect(private, SIZE, PROT_READ) == 0);

	survive_move();

	check(is_filled(private) && is_filled(shared) && is_filled(file));
	/* What a child writes is seen through a shared mapping, and not through a private one. */
	fflush(stdout);
	pid_t child = fork();
	check(child >= 0);
	if (child == 0) {
		shared[5] = 42;
		mprotect(private, SIZE, PROT_READ | PROT_WRITE);
		private[5] = 43;
		_exit(0);
	}
	int status;
	check(waitpid(child, &status, 0) == child && status == 0);
	check(shared[5] == 42 && private[5] == pattern(5));
	file[7] = 44;
	unsigned char byte;
	check(msync(file, SIZE, MS_SYNC) == 0 && pread(fd, &byte, 1, 7) == 1 && byte == 44);
	survive_ok();
	return 0;
}
