/* Resource limits stay, and work. */
#include <sys/resource.h>

#include "tests/survive/survive.h"

int main(void)
{
	static const int kinds[] = { RLIMIT_NOFILE, RLIMIT_CORE,  RLIMIT_STACK,
				     RLIMIT_AS,     RLIMIT_FSIZE, RLIMIT_CPU };
	static const rlim_t soft[] = { 300, 0, 1 << 20, 1UL << 33, 8192, 1000 };
	struct rlimit limit, hard[6];
	for (int i = 0; i < 6; i++) {
		check(getrlimit(kinds[i], &hard[i]) == 0);
		limit = (struct rlimit){ .rlim_cur = soft[i], .rlim_max = hard[i].rlim_max };
		/* One with both limits lowered: there is no way back. */
		if (kinds[i] == RLIMIT_CORE)
			limit.rlim_max = hard[i].rlim_max = 4096;
		check(setrlimit(kinds[i], &limit) == 0);
	}
	signal(SIGXFSZ, SIG_IGN);
	int fd = open("limited", O_RDWR | O_CREAT, 0600);
	check(fd >= 0);
	while (survive_moved()) {
		for (int i = 0; i < 6; i++) {
			check(getrlimit(kinds[i], &limit) == 0);
			check(limit.rlim_cur == soft[i] && limit.rlim_max == hard[i].rlim_max);
		}
		check(dup2(1, 300) < 0 && errno == EBADF && pwrite(fd, "x", 1, 8192) < 0 && errno == EFBIG);
	}
	survive_ok();
	return 0;
}
