/* Resource limits, all of them, stay and work; what was lowered for good as well. */
#include <sys/resource.h>

#include "tests/survive/survive.h"

int main(void)
{
	static const int kinds[] = { RLIMIT_NOFILE, RLIMIT_CORE,  RLIMIT_STACK,
				     RLIMIT_AS,     RLIMIT_FSIZE, RLIMIT_CPU };
	static const rlim_t soft[] = { 300, 0, 1 << 20, 1UL << 33, 8192, 1000 };
	struct rlimit wanted[RLIM_NLIMITS], now[RLIM_NLIMITS], limit;
	for (int i = 0; i < 6; i++) {
		check(getrlimit(kinds[i], &limit) == 0);
		limit.rlim_cur = soft[i];
		/* Those with both limits lowered have no way back. */
		if (kinds[i] == RLIMIT_CORE || kinds[i] == RLIMIT_NOFILE)
			limit.rlim_max = 4096;
		check(setrlimit(kinds[i], &limit) == 0);
	}
	for (int i = 0; i < RLIM_NLIMITS; i++)
		check(getrlimit(i, &wanted[i]) == 0);
	signal(SIGXFSZ, SIG_IGN);
	int fd = open("limited", O_RDWR | O_CREAT, 0600);
	check(fd >= 0);
	while (survive_moved()) {
		for (int i = 0; i < RLIM_NLIMITS; i++)
			check(getrlimit(i, &now[i]) == 0);
		check(!memcmp(now, wanted, sizeof(now)));
		limit = (struct rlimit){ .rlim_cur = 300, .rlim_max = 4097 };
		check(setrlimit(RLIMIT_NOFILE, &limit) < 0 && errno == EPERM);
		check(dup2(1, 300) < 0 && errno == EBADF && pwrite(fd, "x", 1, 8192) < 0 && errno == EFBIG);
	}
	survive_ok();
	return 0;
}
