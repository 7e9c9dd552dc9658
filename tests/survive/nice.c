/* Priorities: nice values, scheduling policies of processes and of a thread, and the OOM score. */
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "tests/survive/survive.h"

static volatile int stop;

static void *batch(void *context)
{
	struct sched_param parameter = { 0 };
	check(pthread_setschedparam(pthread_self(), SCHED_BATCH, &parameter) == 0);
	*(volatile pid_t *)context = gettid();
	while (!stop)
		survive_sleep_ms(5);
	return NULL;
}

static int oom_score(void)
{
	char text[16] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY);
	check(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && close(fd) == 0);
	return atoi(text);
}

int main(void)
{
	struct sched_param parameter = { 0 };
	pthread_t thread;
	volatile pid_t id = 0;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);
	check(fd >= 0 && write(fd, "500", 3) == 3 && close(fd) == 0);
	check(setpriority(PRIO_PROCESS, 0, 7) == 0);
	check(pthread_create(&thread, NULL, batch, (void *)&id) == 0);
	pid_t idle = fork();
	if (idle == 0) {
		check(sched_setscheduler(0, SCHED_IDLE, &parameter) == 0 &&
		      setpriority(PRIO_PROCESS, 0, 19) == 0);
		for (;;)
			pause();
	}
	check_soon(id && sched_getscheduler(idle) == SCHED_IDLE &&
		   getpriority(PRIO_PROCESS, (id_t)idle) == 19);
	while (survive_moved()) {
		check(getpriority(PRIO_PROCESS, 0) == 7 && sched_getscheduler(0) == SCHED_OTHER);
		check(sched_getscheduler(id) == SCHED_BATCH && getpriority(PRIO_PROCESS, (id_t)id) == 7);
		check(sched_getscheduler(idle) == SCHED_IDLE && getpriority(PRIO_PROCESS, (id_t)idle) == 19);
		check(oom_score() == 500);
	}
	stop = 1;
	check(pthread_join(thread, NULL) == 0);
	survive_kill_child(idle);
	survive_ok();
	return 0;
}
