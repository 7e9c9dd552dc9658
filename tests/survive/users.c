/*
 * Processes and a thread of other users, which a job of root has made: their ids (real, effective, saved, of file access),
 * groups, capabilities, secure bits and limits.
 */
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/survive/survive.h"

struct state {
	uid_t uid[3], fsuid;
	gid_t gid[3], fsgid, groups[4];
	int group_count, secure_bits;
	struct __user_cap_data_struct capabilities[2];
	struct rlimit limits[RLIM_NLIMITS];
};

/* Of the calling thread: the C library would tell it of the process as well. */
static struct state read_state(void)
{
	static struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct state state;
	memset(&state, 0, sizeof(state));
	check(getresuid(&state.uid[0], &state.uid[1], &state.uid[2]) == 0);
	check(getresgid(&state.gid[0], &state.gid[1], &state.gid[2]) == 0);
	state.fsuid = (uid_t)setfsuid((uid_t)-1);
	state.fsgid = (gid_t)setfsgid((gid_t)-1);
	state.group_count = getgroups(4, state.groups);
	state.secure_bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	check(state.group_count >= 0 && state.secure_bits >= 0);
	check(syscall(SYS_capget, &header, state.capabilities) == 0);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		check(getrlimit((__rlimit_resource_t)i, &state.limits[i]) == 0);
	return state;
}

/* What root becomes. */

static void be_another(void)
{
	struct rlimit few = { .rlim_cur = 100, .rlim_max = 200 }, none = { 0 };
	check(setrlimit(RLIMIT_NOFILE, &few) == 0 && setrlimit(RLIMIT_CORE, &none) == 0);
	check(setgroups(3, (gid_t[]){ 5, 6, 7007 }) == 0);
	check(setresgid(1101, 1102, 1103) == 0 && setresuid(1001, 1002, 1003) == 0);
	check(setuid(0) < 0);
}

static void be_another_for_a_while(void)
{
	check(setgroups(0, NULL) == 0 && setegid(1101) == 0 && seteuid(1001) == 0);
}

static void be_another_for_files(void)
{
	setfsgid(1101);
	setfsuid(1001);
	check((uid_t)setfsuid((uid_t)-1) == 1001);
}

static void be_another_with_capabilities(void)
{
	check(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0,
		    0) == 0);
	check(setresgid(1101, 1101, 1101) == 0 && setresuid(1001, 1001, 1001) == 0);
	check(read_state().capabilities[0].effective & 1U << CAP_KILL);
}

/* Only this thread, as a file server does it; the C library's calls would change the process. */
static void be_another_in_a_thread(void)
{
	check(syscall(SYS_setresgid, 1101, 1101, 0) == 0 && syscall(SYS_setresuid, 1001, 1001, 0) == 0);
}

static const struct {
	void (*become)(void);
	bool is_thread;
} kinds[] = {
	{ be_another, false },
	{ be_another_for_a_while, false },
	{ be_another_for_files, false },
	{ be_another_with_capabilities, false },
	{ be_another_in_a_thread, true },
};

enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

static struct shared {
	volatile int asked, answered[KINDS];
} * shared;

static void *be(void *context)
{
	int kind = (int)(intptr_t)context;
	kinds[kind].become();
	struct state wanted = read_state();
	for (;; survive_sleep_ms(5)) {
		int asked = shared->asked;
		struct state state = read_state();
		check(!memcmp(&state, &wanted, sizeof(state)));
		shared->answered[kind] = asked;
	}
}

/* Each looks at itself after it was asked, or has said what does not hold and ended. */
static void ask_all(void)
{
	shared->asked++;
	for (int i = 0; i < KINDS; i++) {
		check_soon(shared->answered[i] == shared->asked || waitpid(-1, NULL, WNOHANG) != 0);
		check(shared->answered[i] == shared->asked);
	}
}

int main(void)
{
	pid_t children[KINDS];
	pthread_t thread;
	check(getuid() == 0);
	shared = survive_shared(sizeof(*shared));
	for (int i = 0; i < KINDS; i++) {
		children[i] = kinds[i].is_thread ? 0 : fork();
		if (kinds[i].is_thread)
			check(pthread_create(&thread, NULL, be, (void *)(intptr_t)i) == 0);
		else if (children[i] == 0)
			be((void *)(intptr_t)i);
	}
	struct state own = read_state();
	ask_all();
	while (survive_moved()) {
		struct state state = read_state();
		check(!memcmp(&state, &own, sizeof(state)));
		ask_all();
	}
	for (int i = 0; i < KINDS; i++)
		if (children[i])
			survive_kill_child(children[i]);
	survive_ok();
	return 0;
}
