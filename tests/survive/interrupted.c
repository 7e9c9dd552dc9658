/* A call that a signal interrupts ends with EINTR, also when the signal came before the move and its task was stopped. */
#include <poll.h>

#include "tests/survive/survive.h"

static struct shared {
	volatile int rounds, handled, code;
} * shared;
static int own;

static void handle(int signal)
{
	(void)signal;
	shared[own].handled++;
}

static pid_t start(int number)
{
	pid_t child = fork();
	check(child >= 0);
	if (child)
		return child;
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
	own = number;
	check(sigaction(SIGUSR1, &action, NULL) == 0);
	for (;;) {
		int status = poll(NULL, 0, -1);
		shared[own].code = status < 0 ? errno : 0;
		shared[own].rounds++;
	}
}

static void stop(pid_t child)
{
	int status;
	check(kill(child, SIGSTOP) == 0);
	check(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
}

int main(void)
{
	shared = survive_shared(2 * sizeof(*shared));
	pid_t told = start(0), left_alone = start(1);
	survive_sleep_ms(100);
	bool moved = false;
	do {
		int moves = (int)survive_moves;
		if (moved) {
			check(kill(told, SIGCONT) == 0 && kill(left_alone, SIGCONT) == 0);
			check_soon(shared[0].rounds == moves);
			check(shared[0].handled == moves && shared[0].code == EINTR);
			survive_sleep_ms(50);
			check(shared[1].rounds == 0);
		}
		stop(told);
		stop(left_alone);
		check(kill(told, SIGUSR1) == 0);
	} while ((moved = survive_moved()));
	survive_kill_child(told);
	survive_kill_child(left_alone);
	survive_ok();
	return 0;
}
