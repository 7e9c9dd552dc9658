/* A computation goes on to the bit: the processor's general, floating point and vector registers. */
#include "tests/survive/survive.h"

typedef double vector __attribute__((vector_size(16)));

/* Half a second or so, without a system call. */
static vector compute(long rounds)
{
	vector x = { 1, 2 }, y = { 0.5, 0.25 };
	for (long i = 0; i < rounds; i++) {
		x = x * 1.0000001 + y;
		y = y * 0.9999999 + 1e-9 * x;
	}
	return x + y;
}

int main(void)
{
	const long rounds = 20000000;
	vector wanted = compute(rounds);
	volatile int *done = survive_shared(sizeof(*done));
	pid_t child = fork();
	check(child >= 0);
	if (child == 0)
		for (;;) {
			vector got = compute(rounds);
			check(!memcmp(&got, &wanted, sizeof(got)));
			++*done;
		}
	while (survive_moved()) {
		check(waitpid(child, NULL, WNOHANG) == 0);
	}
	int before = *done;
	check_soon(*done > before + 1);
	survive_kill_child(child);
	survive_ok();
	return 0;
}
