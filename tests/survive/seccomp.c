/* Seccomp filters of its own, one in the process and another in a thread, still answer; so does the job's. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/survive/survive.h"

static volatile int asked, answered;

static void refuse(int number, int code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = filter };
	check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static bool is_refused(int number, int code)
{
	return syscall(number, 0, 0, 0) < 0 && errno == code;
}

static void *thread(void *context)
{
	(void)context;
	refuse(SYS_getpgid, 55);
	for (;;) {
		check(is_refused(SYS_getpgid, 55) && is_refused(SYS_sync, 44));
		answered = asked;
		survive_sleep_ms(5);
	}
}

int main(void)
{
	pthread_t id;
	refuse(SYS_sync, 44);
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
