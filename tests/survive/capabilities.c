/* Capabilities: the sets of a process, one that it has given up, its bounding and ambient sets and secure bits. */
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/survive/survive.h"

static struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

int main(void)
{
	struct __user_cap_data_struct before[2], now[2];
	unsigned long bounding = 0;
	check(syscall(SYS_capget, &header, before) == 0);
	bool root = getuid() == 0;
	if (root) {
		/* Given up for good; and one that is permitted but not in effect. */
		check(prctl(PR_CAPBSET_DROP, CAP_SYS_CHROOT, 0, 0, 0) == 0);
		before[0].permitted &= ~(1U << CAP_SYS_CHROOT);
		before[0].effective &= ~(1U << CAP_SYS_CHROOT | 1U << CAP_CHOWN);
		before[0].inheritable = 1U << CAP_CHOWN;
		check(syscall(SYS_capset, &header, before) == 0);
		check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) == 0);
		check(prctl(PR_SET_SECUREBITS,
			    SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED, 0, 0,
			    0) == 0);
	}
	int secure_bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	for (unsigned long cap = 0; cap < 41; cap++)
		bounding |= (unsigned long)(prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1) << cap;
	while (survive_moved()) {
		check(syscall(SYS_capget, &header, now) == 0 && !memcmp(before, now, sizeof(now)));
		for (unsigned long cap = 0; cap < 41; cap++)
			check(prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == (int)(bounding >> cap & 1));
		check(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == secure_bits);
		if (root) {
			check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) == 1);
			check(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 1 &&
			      prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS, 0, 0, 0) < 0);
			check(chroot("/") < 0 && errno == EPERM);
		}
	}
	survive_ok();
	return 0;
}
