/* hold MIB: a job that holds so much memory, each page of it another. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 0) << 20;
	uint64_t *words = malloc(size + sizeof(*words)), seed = 88172645463325252u;
	if (!words)
		return 1;
	/* xorshift64 (Marsaglia, 2003): nothing that a file system could compress or share. */
	for (size_t i = 0; i < size / sizeof(*words); i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		words[i] = seed;
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		usleep(10000);
}
