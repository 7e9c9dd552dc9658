/* memfds: content, seals, offset, sharing with a child, and a private mapping of one. */
#include "tests/survive/survive.h"

enum { SIZE = 32768 };

int main(void)
{
	char text[16] = "", name[64] = "";
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = memfd_create("shared", 0), sealed = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	check(fd >= 0 && sealed >= 0 && ftruncate(fd, SIZE) == 0 && write(sealed, "0123456789", 10) == 10);
	check(fcntl(sealed, F_ADD_SEALS, seals) == 0 && lseek(sealed, 3, SEEK_SET) == 3);
	volatile int *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, sealed, 0);
	check(memory != MAP_FAILED && private != MAP_FAILED);
	private[0] = 'x';
	pid_t child = fork();
	if (child == 0)
		for (;;) {
			memory[1] = memory[0] + 1;
			survive_sleep_ms(2);
		}
	while (survive_moved()) {
		memory[0] = 10 * (int)survive_moves;
		check_soon(memory[1] == memory[0] + 1);
		check(pread(fd, &text, sizeof(int), 0) == sizeof(int) &&
		      !memcmp(text, (const void *)memory, sizeof(int)));
		check(fcntl(sealed, F_GET_SEALS) == seals && fcntl(sealed, F_GETFD) == FD_CLOEXEC);
		check(ftruncate(sealed, 5) < 0 && errno == EPERM && lseek(sealed, 0, SEEK_CUR) == 3);
		check(pread(sealed, text, 10, 0) == 10 && !memcmp(text, "0123456789", 10));
		check(!memcmp(private, "x123456789", 10));
		check(readlink("/proc/self/fd/3", name, sizeof(name) - 1) > 0);
	}
	survive_kill_child(child);
	survive_ok();
	return 0;
}
