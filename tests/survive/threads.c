/* Threads: one waits for a condition, one counts under a mutex; both go on, with thread-local values, names
 * and ids. */
#include <pthread.h>

#include "tests/survive/survive.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int go, stop;
static long count;
static __thread int own;

static long read_count(void)
{
	pthread_mutex_lock(&lock);
	long now = count;
	pthread_mutex_unlock(&lock);
	return now;
}

static void *wait_for_go(void *context)
{
	char name[16];
	pid_t id = gettid();
	own = 17;
	check(pthread_setname_np(pthread_self(), "the waiter") == 0);
	pthread_mutex_lock(&lock);
	while (!go)
		pthread_cond_wait(&condition, &lock);
	pthread_mutex_unlock(&lock);
	check(gettid() == id && pthread_getname_np(pthread_self(), name, sizeof(name)) == 0);
	check(!strcmp(name, "the waiter"));
	*(int *)context = own;
	return NULL;
}

static void *count_up(void *context)
{
	long last = 0;
	(void)context;
	for (;;) {
		pthread_mutex_lock(&lock);
		int end = stop;
		check(count == last);
		last = ++count;
		pthread_mutex_unlock(&lock);
		if (end)
			return NULL;
		survive_sleep_ms(1);
	}
}

int main(void)
{
	pthread_t waiter, counter;
	int seen = 0;
	own = 4;
	check(pthread_create(&waiter, NULL, wait_for_go, &seen) == 0);
	check(pthread_create(&counter, NULL, count_up, NULL) == 0);
	while (survive_moved()) {
		long before = read_count();
		check_soon(read_count() > before);
	}
	pthread_mutex_lock(&lock);
	go = stop = 1;
	pthread_cond_broadcast(&condition);
	pthread_mutex_unlock(&lock);
	check(pthread_join(waiter, NULL) == 0 && pthread_join(counter, NULL) == 0);
	check(seen == 17 && own == 4);
	survive_ok();
	return 0;
}
