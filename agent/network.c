#include "agent/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

/* criu's mark on the packets that it makes itself (SOCCR_MARK, soccr/soccr.h), to put back a closed half. */
#define CRIU_MARK "0xc114"
/*
 * TCP alone: it is what may have packets on its way while no task of the job runs. And tasks may run a moment before the
 * lock is opened: what TCP sends then it sends again, but a dropped UDP packet is an EPERM for its sender.
 */
#define HOOK(name)                                                                                           \
	"chain " name " { type filter hook " name " priority 0; meta mark != " CRIU_MARK                     \
	" meta l4proto tcp drop; }; "
/* Nothing else sets rules in there: the job may not. */
#define UNLOCKED "flush ruleset; "
#define LOCKED   UNLOCKED "table inet float { " HOOK("input") HOOK("output") "}"

struct network {
	/* Kept open: the kernel takes ten milliseconds and more to close its socket after rules were deleted.
	 */
	struct nft_ctx *nft;
	bool locked;
};

static int set_address(int fd, const char *name, const char *address, unsigned long request)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	inet_pton(AF_INET, address, &in.sin_addr);
	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	return ioctl(fd, request, &ifr);
}

static int set_up(const char *address, struct error *err)
{
	if (unshare(CLONE_NEWNET) < 0)
		return error_sys(err, errno, "cannot make the job's network namespace");
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING };
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &up) < 0)
		return error_sys(err, errno, "cannot bring up the job's loopback device");
	if (address && (set_address(fd, "lo:job", address, SIOCSIFADDR) < 0 ||
			set_address(fd, "lo:job", "255.255.255.255", SIOCSIFNETMASK) < 0))
		return error_sys(err, errno, "cannot give the job its address %s", address);
	return 0;
}

int network_enter(const char *address, struct network **network, struct error *err)
{
	int status = set_up(address, err);
	if (status < 0)
		return status;
	/* After the namespace: its socket belongs to the one that it was opened in. */
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft)
		return error_set(err, ENOMEM, "cannot open the firewall of the job's network");
	nft_ctx_buffer_output(nft);
	nft_ctx_buffer_error(nft);
	*network = calloc(1, sizeof(**network));
	if (!*network)
		abort();
	(*network)->nft = nft;
	return 0;
}

void network_free(struct network *network)
{
	if (!network)
		return;
	nft_ctx_free(network->nft);
	free(network);
}

static int set_rules(struct network *network, const char *rules, bool locked, struct error *err)
{
	if (nft_run_cmd_from_buffer(network->nft, rules) == 0) {
		network->locked = locked;
		return 0;
	}
	const char *said = nft_ctx_get_error_buffer(network->nft);
	return error_set(err, EIO, "cannot %s the job's network, which takes nf_tables in the kernel: %.*s",
			 locked ? "lock" : "unlock", (int)strcspn(said, "\n"), said);
}

int network_lock(struct network *network, struct error *err)
{
	return network->locked ? 0 : set_rules(network, LOCKED, true, err);
}

int network_unlock(struct network *network, struct error *err)
{
	return set_rules(network, UNLOCKED, false, err);
}

/* "TCP: inuse 3 orphan 0 …", of this namespace alone. */
static bool in_use(const char *path, const char *key)
{
	autofree char *text = NULL;
	if (file_read(path, 65536, &text, NULL) < 0)
		return false;
	const char *found = strstr(text, key);
	return found && strtol(found + strlen(key), NULL, 10) > 0;
}

bool network_has_tcp(void)
{
	return in_use("/proc/thread-self/net/sockstat", "TCP: inuse ") ||
	       in_use("/proc/thread-self/net/sockstat6", "TCP6: inuse ");
}
