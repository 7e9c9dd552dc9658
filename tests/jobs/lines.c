/*
 * Writes numbered lines, so that every byte of a file is known from where it stands: lines FILE COUNT MS [LIMIT [cut]]
 *
 * Appends COUNT lines of 16 bytes, from number 0 on, in one write(2) each MS milliseconds. At LIMIT bytes it ends, or with `cut`
 * makes the file empty, waits as long as for ten writes, and goes on counting.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 16 };

static void pause_ms(long ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&left, NULL);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	size_t count = strtoul(argv[2], NULL, 10), limit = argc > 4 ? strtoul(argv[4], NULL, 10) : SIZE_MAX;
	long ms = strtol(argv[3], NULL, 10);
	int cut = argc > 5 && !strcmp(argv[5], "cut");
	int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0644);
	char *text = malloc(count * LINE + 1);
	size_t number = 0, size = 0;
	if (fd < 0 || !text)
		return 1;
	for (;;) {
		for (size_t i = 0; i < count; i++)
			snprintf(text + i * LINE, LINE + 1, "%015zu\n", number++);
		if (write(fd, text, count * LINE) != (ssize_t)(count * LINE))
			return 1;
		size += count * LINE;
		if (size >= limit && !cut)
			return 0;
		if (size >= limit) {
			pause_ms(10 * ms);
			if (ftruncate(fd, 0) < 0)
				return 1;
			size = 0;
		}
		pause_ms(ms);
	}
}
