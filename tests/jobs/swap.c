/* Renames a file or directory to and fro without end: swap ONE OTHER MS */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	struct timespec pause = { 0, strtol(argv[3], NULL, 10) * 1000000 };
	for (;;) {
		if (rename(argv[1], argv[2]) < 0 || rename(argv[2], argv[1]) < 0) {
			perror("rename");
			return 1;
		}
		nanosleep(&pause, NULL);
	}
}
