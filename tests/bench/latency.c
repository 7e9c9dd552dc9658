/*
 * latency FILE COUNT: follows FILE, whose lines are times in ns, by poll and read, until it has seen COUNT lines; prints the
 * median, the 99th percentile and the largest of the times from a line's stamp to the return of the read that brought
 * it, in microseconds.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int compare(const void *one, const void *other)
{
	int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
	return a < b ? -1 : a > b;
}

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv)
{
	long count = argc > 2 ? strtol(argv[2], NULL, 10) : 0, seen = 0;
	int64_t *took = calloc((size_t)count + 1, sizeof(*took));
	char text[65536];
	size_t used = 0;
	int fd = argc > 2 ? open(argv[1], O_RDONLY) : -1;
	if (fd < 0 || count < 1 || !took) {
		fprintf(stderr, "usage: latency FILE COUNT\n");
		return 2;
	}
	while (seen < count) {
		ssize_t got = read(fd, text + used, sizeof(text) - 1 - used);
		int64_t now = now_ns();
		if (got < 0 ||
		    (got == 0 && poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 10000) <= 0)) {
			perror(argv[1]);
			return 1;
		}
		used += (size_t)got;
		text[used] = '\0';
		char *line = text;
		for (char *end; seen < count && (end = strchr(line, '\n')); line = end + 1)
			took[seen++] = (now - strtoll(line, NULL, 10)) / 1000;
		used -= (size_t)(line - text);
		memmove(text, line, used);
	}
	qsort(took, (size_t)count, sizeof(*took), compare);
	printf("%lld %lld %lld\n", (long long)took[count / 2], (long long)took[count * 99 / 100],
	       (long long)took[count - 1]);
	free(took);
	return 0;
}
