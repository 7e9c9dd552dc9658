/* A process's own ids, real, effective, saved and of file access, its groups, and that it may get no new privileges. */
#include <sys/fsuid.h>
#include <sys/prctl.h>

#include "tests/survive/survive.h"

int main(void)
{
	uid_t uid = getuid(), uids[3];
	gid_t gid = getgid(), gids[3], groups[32], now[32];
	int count = getgroups(32, groups);
	while (survive_moved()) {
		check(getresuid(&uids[0], &uids[1], &uids[2]) == 0 &&
		      getresgid(&gids[0], &gids[1], &gids[2]) == 0);
		for (int i = 0; i < 3; i++)
			check(uids[i] == uid && gids[i] == gid);
		check((uid_t)setfsuid((uid_t)-1) == uid && (gid_t)setfsgid((gid_t)-1) == gid);
		check(getgroups(32, now) == count && !memcmp(groups, now, sizeof(gid_t) * (size_t)count));
		check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	}
	survive_ok();
	return 0;
}
