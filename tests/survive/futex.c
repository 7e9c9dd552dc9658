/* Futexes of several processes: a shared mutex under contention, a waiter, and a robust mutex whose owner
 * dies. */
#include <pthread.h>

#include "tests/survive/survive.h"

enum { CHILDREN = 3 };

static struct shared {
	pthread_mutex_t lock, robust;
	pthread_cond_t condition;
	long count, inside;
	int stop, held;
} * shared;

static void contend(void)
{
	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		check(pthread_mutex_lock(&shared->lock) == 0);
		check(shared->inside == 0);
		shared->inside = 1;
		shared->count++;
		shared->inside = 0;
		check(pthread_mutex_unlock(&shared->lock) == 0);
		survive_sleep_ms(1);
	}
}

int main(void)
{
	pthread_mutexattr_t mutex;
	pthread_condattr_t condition;
	pid_t child[CHILDREN], owner, waiter;
	shared = survive_shared(sizeof(*shared));
	check(!pthread_mutexattr_init(&mutex) &&
	      !pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED));
	check(!pthread_condattr_init(&condition) &&
	      !pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED));
	check(!pthread_mutex_init(&shared->lock, &mutex) &&
	      !pthread_cond_init(&shared->condition, &condition));
	check(!pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST));
	check(!pthread_mutex_init(&shared->robust, &mutex));
	for (int i = 0; i < CHILDREN; i++)
		if ((child[i] = fork()) == 0) {
			contend();
			_exit(0);
		}
	if ((owner = fork()) == 0) {
		check(pthread_mutex_lock(&shared->robust) == 0);
		shared->held = 1;
		for (;;)
			pause();
	}
	if ((waiter = fork()) == 0) {
		check(pthread_mutex_lock(&shared->lock) == 0);
		while (!shared->stop)
			check(pthread_cond_wait(&shared->condition, &shared->lock) == 0);
		check(pthread_mutex_unlock(&shared->lock) == 0);
		_exit(3);
	}
	check_soon(shared->held);
	while (survive_moved()) {
		long before = shared->count;
		check_soon(shared->count > before + 10);
		check(pthread_mutex_trylock(&shared->robust) == EBUSY);
	}
	survive_kill_child(owner);
	check(pthread_mutex_lock(&shared->robust) == EOWNERDEAD &&
	      !pthread_mutex_consistent(&shared->robust));
	check(!pthread_mutex_lock(&shared->lock));
	shared->stop = 1;
	check(!pthread_cond_broadcast(&shared->condition) && !pthread_mutex_unlock(&shared->lock));
	survive_wait_child(waiter, 3);
	for (int i = 0; i < CHILDREN; i++)
		survive_wait_child(child[i], 0);
	survive_ok();
	return 0;
}
