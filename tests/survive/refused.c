/* A pipe that criu refuses, for a while: what runs beside it does not notice the checkpoints that fail. */
#include <pthread.h>

#include "tests/survive/survive.h"

enum { HOLDS_MS = 4000 };

static int packets[2];

static void *let_go(void *context)
{
	survive_sleep_ms(HOLDS_MS);
	check(close(packets[0]) == 0 && close(packets[1]) == 0);
	return context;
}

int main(void)
{
	pthread_t thread;
	check(pipe2(packets, O_DIRECT) == 0);
	check(pthread_create(&thread, NULL, let_go, NULL) == 0);
	while (survive_moved())
		;
	survive_ok();
	return 0;
}
