/* Timers that fire once, in a row without a pause (setitimer, and timer_create for a process and for a thread): each fires once. */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "tests/survive/survive.h"

enum { KINDS = 3, STRIDE_US = 3701, MOST_US = 100000, MEMORY = 32 << 20 };

static volatile int *fired;
static volatile sig_atomic_t rang;

static void ring(int signal)
{
	(void)signal;
	rang++;
}

/* Of all lengths, so that some end while the process stands. */
static long length_us(int shot)
{
	return 1 + (long)shot * STRIDE_US % MOST_US;
}

static void shoot_itimer(void)
{
	struct sigaction action = { .sa_handler = ring };
	sigset_t blocked, open;
	check(sigaction(SIGALRM, &action, NULL) == 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGALRM);
	check(sigprocmask(SIG_BLOCK, &blocked, &open) == 0);
	for (int shot = 1;; shot++) {
		struct itimerval once = { .it_value.tv_usec = length_us(shot) };
		check(setitimer(ITIMER_REAL, &once, NULL) == 0);
		while (rang < shot)
			sigsuspend(&open);
		check(rang == shot);
		fired[0] = shot;
	}
}

static void shoot_timer(int kind, int notify)
{
	sigset_t blocked;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	check(pthread_sigmask(SIG_BLOCK, &blocked, NULL) == 0);
	for (int shot = 1;; shot++) {
		struct itimerspec once = { .it_value.tv_nsec = 1000 * length_us(shot) };
		struct sigevent event = { .sigev_notify = notify, .sigev_signo = SIGUSR1 };
		event.sigev_value.sival_int = shot;
		event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
		siginfo_t info;
		timer_t timer;
		check(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
		check(timer_settime(timer, 0, &once, NULL) == 0);
		while (sigwaitinfo(&blocked, &info) < 0)
			check(errno == EINTR);
		check(info.si_code == SI_TIMER && info.si_value.sival_int == shot && info.si_overrun == 0);
		check(timer_delete(timer) == 0);
		fired[kind] = shot;
	}
}

static void *shoot_in_thread(void *none)
{
	shoot_timer(2, SIGEV_THREAD_ID);
	return none;
}

/* Its memory takes a while to be dumped: between its signals and its timers, of which criu reads each only once. */
static void shoot(int kind)
{
	pthread_t thread;
	void *memory = malloc(MEMORY);
	check(memory);
	memset(memory, 1, MEMORY);
	if (kind == 0)
		shoot_itimer();
	if (kind == 1)
		shoot_timer(1, SIGEV_SIGNAL);
	check(pthread_create(&thread, NULL, shoot_in_thread, NULL) == 0);
	pthread_join(thread, NULL);
}

int main(void)
{
	pid_t children[KINDS];
	fired = survive_shared(KINDS * sizeof(*fired));
	for (int kind = 0; kind < KINDS; kind++) {
		children[kind] = fork();
		check(children[kind] >= 0);
		if (children[kind] == 0)
			shoot(kind);
	}
	do
		for (int kind = 0; kind < KINDS; kind++) {
			int before = fired[kind];
			check_soon(fired[kind] > before + 2);
		}
	while (survive_moved());
	for (int kind = 0; kind < KINDS; kind++)
		survive_kill_child(children[kind]);
	survive_ok();
	return 0;
}
