/*
 * A job that wants more than there is: limits LOG-DIRECTORY WHAT
 *
 *   memory      touches memory without end
 *   child       the same in a child, whose end it tells by its own exit code, as a shell does
 *   hold N      holds N MiB, says `holding`, sleeps
 *   forks       makes children until it is refused, says how many, exits with 4
 *   bomb        makes children that make children
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, REFUSED = 4 };

static void take_memory(size_t mib)
{
	for (size_t i = 0; i < mib; i++) {
		char *piece = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (piece == MAP_FAILED) {
			printf("refused: %s\n", strerror(errno));
			return;
		}
		/* Not all the same: the kernel may merge pages. */
		for (size_t at = 0; at < MIB; at += 4096)
			memcpy(piece + at, &i, sizeof(i));
	}
}

static int memory(const char *number)
{
	(void)number;
	printf("taking memory\n");
	take_memory(SIZE_MAX);
	return 0;
}

static int child(const char *number)
{
	int how;
	pid_t pid = fork();
	if (pid == 0)
		_exit(memory(number));
	if (pid < 0 || waitpid(pid, &how, 0) < 0)
		return 1;
	return WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
}

static int hold(const char *number)
{
	take_memory(strtoul(number, NULL, 10));
	printf("holding\n");
	while (pause() < 0)
		;
	return 0;
}

static int forks(const char *number)
{
	(void)number;
	int count = 0;
	for (;; count++) {
		pid_t pid = fork();
		if (pid < 0)
			break;
		while (pid == 0)
			pause();
	}
	printf("refused after %d: %s\n", count, strerror(errno));
	return REFUSED;
}

static int bomb(const char *number)
{
	(void)number;
	printf("forking\n");
	for (int refusals = 0; refusals < 1000000; refusals += fork() < 0)
		;
	return REFUSED;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const char *number);
	} kinds[] = {
		{ "memory", memory }, { "child", child }, { "hold", hold },
		{ "forks", forks },   { "bomb", bomb },
	};
	setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; argc > 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[2], kinds[i].name) == 0)
			return kinds[i].run(argc > 3 ? argv[3] : "0");
	fprintf(stderr, "usage: limits LOG-DIRECTORY memory | child | hold N | forks | bomb\n");
	return 2;
}
