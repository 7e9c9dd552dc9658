/*
 * The way out of floatfs's network namespace: slirp4netns, a process of its own that stands in the machine's
 * namespace and makes for itself, by sockets there, the connections that come to it through tap0 here.
 * floatfs's namespace forwards from the bridge to tap0, by rules (nftables, table `inet float_outlet`) that
 * keep hosts from floatfs, and their jobs from what is of meaning to the machine only.
 *
 * slirp4netns rather than pasta: it has a network of its own, so nothing of it depends on what the machine
 * has (pasta of Debian 12 copies the machine's addresses and routes and does not start where there are none).
 *
 * It outlives floatfs. It holds a lock on the file to which it prints, taken before it is executed and by
 * itself: by that it is found again whatever happened, and never taken for another. The caller lets one
 * thread at a time in.
 */
#pragma once

#include <stdbool.h>

#include "lib/error.h"

#define OUTLET_NETWORK  "10.219.0.0/24"
#define OUTLET_RESOLVER "10.219.0.3"

struct outlet {
	const char *path;      /* the file that it locks and prints to */
	int machine;           /* the machine's network namespace */
	const char *own_group; /* cgroup.procs of a group that is not floatfs's, or NULL */
};

/* It is there when it returns 0: the rules, and the process in the namespace of the calling one. */
int outlet_start(const struct outlet *outlet, struct error *err);

/* End it; none there is success. */
int outlet_stop(const char *path, struct error *err);

/* What /etc/resolv.conf of a host behind it says, by the machine's; NULL where that names no server. Caller
 * frees. */
char *outlet_resolver(void);
