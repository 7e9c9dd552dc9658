/* The job's own job.events, followed from its start, gives every line of each move once, in order, without a
 * hole. */
#include "tests/survive/survive.h"

static char all[1 << 20];
static size_t length;

static int count(const char *word)
{
	int found = 0;
	for (const char *at = all; (at = strstr(at, word)); at += strlen(word))
		found++;
	return found;
}

static void read_on(int fd)
{
	for (;;) {
		ssize_t got = read(fd, all + length, sizeof(all) - 1 - length);
		if (got < 0 && errno == EINTR)
			continue;
		check(got >= 0);
		if (got == 0)
			return;
		length += (size_t)got;
	}
}

int main(void)
{
	int fd = open("/float/jobs/self/job.events", O_RDONLY);
	check(fd >= 0);
	while (survive_moved()) {
		for (int turn = 0; turn < 400 && count(": Job floated") < survive_moves; turn++) {
			read_on(fd);
			survive_sleep_ms(25);
		}
		check(count(": Job floated") == survive_moves);
		check(count(": Ready to migrate") == survive_moves);
	}
	/* Read anew it is the same. */
	static char again[sizeof(all)];
	check(pread(fd, again, length, 0) == (ssize_t)length && !memcmp(all, again, length));
	survive_ok();
	return 0;
}
