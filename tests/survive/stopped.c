/* A stopped process stays stopped, its parent can still be told so, and it goes on when told to. */
#include "tests/survive/survive.h"

int main(void)
{
	volatile int *count = survive_shared(sizeof(*count));
	pid_t child = fork();
	if (child == 0)
		for (;;) {
			++*count;
			survive_sleep_ms(1);
		}
	int status;
	check_soon(*count > 0);
	check(kill(child, SIGSTOP) == 0);
	check(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	while (survive_moved()) {
		int before = *count;
		survive_sleep_ms(50);
		check(*count == before);
		check(kill(child, SIGCONT) == 0);
		check_soon(*count > before);
		check(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
		check(kill(child, SIGSTOP) == 0);
		check(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	}
	survive_kill_child(child);
	survive_ok();
	return 0;
}
