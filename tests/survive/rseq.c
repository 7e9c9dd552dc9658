/* Restartable sequences: the C library's registration is still there, and the kernel keeps the CPU's number
 * in it. */
#include <sched.h>
#include <sys/rseq.h>

#include "tests/survive/survive.h"

int main(void)
{
	/* Where the C library has its own; a kernel without it gives it no size. */
	check(__rseq_size > 0);
	struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	do {
		cpu_set_t set, all;
		check(sched_getaffinity(0, sizeof(all), &all) == 0);
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (!CPU_ISSET(cpu, &all))
				continue;
			CPU_ZERO(&set);
			CPU_SET(cpu, &set);
			check(sched_setaffinity(0, sizeof(set), &set) == 0);
			check((int)*(volatile uint32_t *)&area->cpu_id == cpu && sched_getcpu() == cpu);
		}
		check(sched_setaffinity(0, sizeof(all), &all) == 0);
	} while (survive_moved());
	survive_ok();
	return 0;
}
