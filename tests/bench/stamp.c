/* The job of the latency figures: stamp COUNT MS writes a line with the time, in ns, every MS milliseconds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long count = argc > 2 ? strtol(argv[1], NULL, 10) : 100,
	     ms = argc > 2 ? strtol(argv[2], NULL, 10) : 20;
	for (long i = 0; i < count; i++) {
		struct timespec now, pause = { ms / 1000, ms % 1000 * 1000000 };
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_REALTIME, &now);
		dprintf(STDOUT_FILENO, "%lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
	}
	return 0;
}
