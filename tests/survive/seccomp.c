/* Seccomp filters of its own, one in the process and another in a thread, still answer; so does the job's. */
#include <pthread.h>
#include <sys/syscall.h>

#include "tests/survive/seccomp.h"

static volatile int asked, answered;

static bool is_refused(int number, int code)
{
	return syscall(number, 0, 0, 0) < 0 && errno == code;
}

static void *thread(void *context)
{
	(void)context;
	seccomp_answer(SYS_getpgid, SECCOMP_RET_ERRNO | 55);
	for (;;) {
		check(is_refused(SYS_getpgid, 55) && is_refused(SYS_sync, 44));
		answered = asked;
		survive_sleep_ms(5);
	}
}

int main(void)
{
	pthread_t id;
	seccomp_answer(SYS_sync, SECCOMP_RET_ERRNO | 44);
	check(pthread_create(&id, NULL, thread, NULL) == 0);
	while (survive_moved()) {
		check(is_refused(SYS_sync, 44) && !is_refused(SYS_getpgid, 55));
		check(is_refused(SYS_io_uring_setup, ENOSYS));
		asked++;
		check_soon(answered == asked);
	}
	survive_ok();
	return 0;
}
