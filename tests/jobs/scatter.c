/*
 * A job that writes over its log files, here and there: scatter LOG-DIRECTORY
 *
 * `grid` by pwrite, `map` through a mapping. SIGUSR1 halts it, and a second one lets it go on: halted, it says `still N` once
 * `grid.N` and `map.N` hold the same. So does SIGTERM, which ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = (3 << 20) + 1234, PIECE = 100 };

static volatile sig_atomic_t halted, ended;

static void note(int signal)
{
	if (signal == SIGTERM)
		ended = 1;
	else
		halted = !halted;
}

static void need(int holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

static int make(const char *name, int number)
{
	char path[64];
	snprintf(path, sizeof(path), number ? "%s.%d" : "%s", name, number);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	need(fd >= 0, path);
	return fd;
}

static void copy(const char *name, int number, int from)
{
	static char bytes[SIZE];
	int fd = make(name, number);
	need(pread(from, bytes, SIZE, 0) == SIZE && write(fd, bytes, SIZE) == SIZE, name);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = note };
	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	need(argc > 1 && chdir(argv[1]) == 0, "the log directory");
	int grid = make("grid", 0), map = make("map", 0);
	need(ftruncate(grid, SIZE) == 0 && ftruncate(map, SIZE) == 0, "ftruncate");
	char *mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	need(mapped != MAP_FAILED, "mmap");
	puts("up");
	uint32_t at = 1;
	for (int number = 1;;) {
		char piece[PIECE];
		at = at * 1664525 + 1013904223;
		memset(piece, 'a' + at % 26, sizeof(piece));
		need(pwrite(grid, piece, PIECE, at % (SIZE - PIECE)) == PIECE, "pwrite");
		memcpy(mapped + at / 7 % (SIZE - PIECE), piece, PIECE);
		usleep(1000);
		if (!halted && !ended)
			continue;
		copy("grid", number, grid);
		copy("map", number, map);
		printf("still %d\n", number++);
		while (halted && !ended)
			usleep(1000);
		if (ended)
			return 0;
	}
}
