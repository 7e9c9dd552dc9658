/* Processes of other users, which a job of root has made: their ids, real, effective and saved, and groups. */
#include <grp.h>
#include <sys/fsuid.h>

#include "tests/survive/survive.h"

static struct shared {
	int ready, asked, answered, bad;
} * shared;

static void check_ids(const uid_t *wanted)
{
	uid_t uid[3];
	gid_t gid[3], groups[4] = { 0 };
	check(getresuid(&uid[0], &uid[1], &uid[2]) == 0 && getresgid(&gid[0], &gid[1], &gid[2]) == 0);
	for (int i = 0; i < 3; i++)
		check(uid[i] == wanted[i] && gid[i] == wanted[i] + 100);
	check(getgroups(4, groups) == 3 && groups[0] == 5 && groups[1] == 6 && groups[2] == 7007);
	check((uid_t)setfsuid((uid_t)-1) == wanted[1]);
}

static void be_other(void)
{
	static const uid_t uid[] = { 1001, 1002, 1003 };
	check(setgroups(3, (gid_t[]){ 5, 6, 7007 }) == 0);
	check(setresgid(uid[0] + 100, uid[1] + 100, uid[2] + 100) == 0 &&
	      setresuid(uid[0], uid[1], uid[2]) == 0);
	shared->ready = 1;
	for (int seen = 0;; survive_sleep_ms(5)) {
		if (seen == shared->asked)
			continue;
		check_ids(uid);
		shared->answered = seen = shared->asked;
	}
}

int main(void)
{
	shared = survive_shared(sizeof(*shared));
	pid_t child = getuid() == 0 ? fork() : 0;
	check(child >= 0);
	if (getuid() == 0 && child == 0)
		be_other();
	check_soon(!child || shared->ready);
	while (survive_moved()) {
		if (!child)
			continue;
		shared->asked++;
		check_soon(shared->answered == shared->asked || waitpid(child, NULL, WNOHANG) != 0);
		check(shared->answered == shared->asked);
	}
	if (child)
		survive_kill_child(child);
	survive_ok();
	return 0;
}
