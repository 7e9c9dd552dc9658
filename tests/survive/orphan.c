/* A process whose parent has ended lives on as a child of its reaper: the first process, or a chosen one. */
#include <sys/prctl.h>

#include "tests/survive/survive.h"

static struct shared {
	pid_t pid, parent, reaped;
	int count;
} * shared;

static void orphan(struct shared *own)
{
	if (fork() == 0) {
		own->pid = getpid();
		for (;;) {
			own->parent = getppid();
			own->count++;
			survive_sleep_ms(5);
		}
	}
	_exit(0);
}

int main(void)
{
	shared = survive_shared(2 * sizeof(*shared));
	pid_t child = fork();
	if (child == 0)
		orphan(&shared[0]);
	survive_wait_child(child, 0);
	/* From here on it is this one that gets them. */
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	child = fork();
	if (child == 0)
		orphan(&shared[1]);
	survive_wait_child(child, 0);
	check_soon(shared[0].parent == 1 && shared[1].parent == getpid());
	while (survive_moved()) {
		int on = 0, before[] = { shared[0].count, shared[1].count };
		check_soon(shared[0].count > before[0] && shared[1].count > before[1]);
		check(shared[0].parent == 1 && shared[1].parent == getpid());
		check(prctl(PR_GET_CHILD_SUBREAPER, &on) == 0 && on == 1);
	}
	check(kill(shared[0].pid, SIGKILL) == 0);
	survive_kill_child(shared[1].pid);
	survive_ok();
	return 0;
}
