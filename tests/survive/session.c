/* Sessions and process groups: their ids stay, a signal to a group reaches its members and no others. */
#include "tests/survive/survive.h"

static struct shared {
	int hits[3];
	pid_t sid[3], pgid[3];
} * shared;
static int own;

static void hit(int signal)
{
	(void)signal;
	__atomic_add_fetch(&shared->hits[own], 1, __ATOMIC_RELAXED);
}

static pid_t start(int number, pid_t group, bool session)
{
	pid_t child = fork();
	check(child >= 0);
	if (child)
		return child;
	struct sigaction action = { .sa_handler = hit };
	own = number;
	check(session ? setsid() > 0 : setpgid(0, group) == 0);
	check(sigaction(SIGUSR1, &action, NULL) == 0);
	shared->sid[number] = getsid(0);
	shared->pgid[number] = getpgid(0);
	for (;;) {
		survive_sleep_ms(10);
		if (getsid(0) != shared->sid[number] || getpgid(0) != shared->pgid[number])
			_exit(1);
	}
}

int main(void)
{
	shared = survive_shared(sizeof(*shared));
	pid_t leader = start(0, 0, false);
	check_soon(shared->pgid[0]);
	pid_t member = start(1, leader, false), alone = start(2, 0, true);
	check_soon(shared->pgid[1] && shared->pgid[2]);
	while (survive_moved()) {
		int moves = (int)survive_moves;
		check(getpgid(leader) == leader && getpgid(member) == leader && getpgid(alone) == alone);
		check(getsid(leader) == getsid(0) && getsid(alone) == alone);
		check(kill(-leader, SIGUSR1) == 0);
		check_soon(shared->hits[0] == moves && shared->hits[1] == moves);
		check(shared->hits[2] == 0 && waitpid(-1, NULL, WNOHANG) == 0);
	}
	survive_kill_child(leader);
	survive_kill_child(member);
	survive_kill_child(alone);
	survive_ok();
	return 0;
}
