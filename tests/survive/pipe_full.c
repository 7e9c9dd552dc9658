/* A pipe that is full, its writer blocked in it, loses and doubles no byte. */
#include "tests/survive/survive.h"

static unsigned number_at(unsigned i)
{
	return i * 2654435761u;
}

int main(void)
{
	int ends[2];
	check(pipe(ends) == 0);
	pid_t child = fork();
	check(child >= 0);
	if (child == 0) {
		close(ends[0]);
		for (unsigned i = 0;; i++) {
			unsigned number = number_at(i);
			check(write(ends[1], &number, sizeof(number)) == sizeof(number));
		}
	}
	close(ends[1]);
	unsigned next = 0;
	while (survive_moved())
		for (int i = 0; i < 100000; i++) {
			unsigned number;
			check(read(ends[0], &number, sizeof(number)) == sizeof(number));
			check(number == number_at(next));
			next++;
		}
	survive_kill_child(child);
	survive_ok();
	return 0;
}
