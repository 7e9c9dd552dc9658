/* An alarm: neither lost nor early; one far away has the right time left. */
#include "tests/survive/survive.h"

static volatile sig_atomic_t rang;

static void ring(int signal)
{
	(void)signal;
	rang++;
}

int main(void)
{
	struct sigaction action = { .sa_handler = ring, .sa_flags = SA_RESTART };
	check(sigaction(SIGALRM, &action, NULL) == 0);
	do {
		unsigned left = alarm(0);
		check(survive_moves == 0 || (left > 900 && left < 1000));
		int64_t began = survive_now_ms();
		rang = 0;
		alarm(1);
		check_soon(rang);
		check(survive_now_ms() - began >= 990);
		alarm(999);
	} while (survive_moved());
	survive_ok();
	return 0;
}
