#include "agent/outside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/sockdiag.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/rtnl.h"

#define JOB_END "eth0"
/* The host's ends are named job123, by the keeper's process id; the rules know them as job*. */
#define HOST_END "job"

enum { PREFIX = 31, NEAR_SIZE = 4096, NFT_TIMEOUT_MS = 10000 };

/*
 * In the order of its chains: nothing of the host's own is for a job; of what goes through the host, neither
 * its networks nor what is of meaning to one machine only (metadata services of clouds, multicast). Refused,
 * not dropped: a mistake is told at once. %s: a rule for each of the host's networks.
 */
static const char rules[] =
    "add table inet float_jobs\n"
    "flush table inet float_jobs\n"
    "table inet float_jobs {\n"
    "chain host {\n"
    "type filter hook input priority filter; policy accept;\n"
    "iifname \"job*\" reject\n"
    "}\n"
    "chain through {\n"
    "type filter hook forward priority filter; policy drop;\n"
    "iifname \"job*\" ip daddr { 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3 } reject\n"
    "%s"
    "iifname \"job*\" oifname != \"job*\" meta nfproto ipv4 accept\n"
    "iifname != \"job*\" oifname \"job*\" ct state established,related accept\n"
    "}\n"
    "chain outward {\n"
    "type nat hook postrouting priority srcnat; policy accept;\n"
    "iifname \"job*\" masquerade\n"
    "}\n"
    "}\n";

struct outside {
	const struct spec *spec;
	char gateway[INET_ADDRSTRLEN];
	uint32_t mtu; /* the host's own; 0: it has no network */
	int host;     /* a socket for the host's interfaces */
	bool closed;
};

/* The gateway is the other address of the two that a /31 holds (RFC 3021). */
static int find_gateway(struct outside *way, struct error *err)
{
	struct in_addr address;
	if (inet_pton(AF_INET, way->spec->address, &address) != 1)
		return error_set(err, EINVAL, "%s is no IPv4 address", way->spec->address);
	address.s_addr ^= htonl(1);
	inet_ntop(AF_INET, &address, way->gateway, sizeof(way->gateway));
	return 0;
}

/* ---- on the host ---- */

/* What the host is to know of its own interfaces. */
struct uplink {
	char near[NEAR_SIZE]; /* a rule for each of its networks */
	uint32_t mtu;         /* the least of them; 0: there is none */
};

static void look_at(const struct ifaddrs *at, int fd, struct uplink *uplink)
{
	if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET || !at->ifa_netmask ||
	    (at->ifa_flags & IFF_LOOPBACK) || strncmp(at->ifa_name, HOST_END, strlen(HOST_END)) == 0)
		return;
	struct in_addr network = ((struct sockaddr_in *)at->ifa_addr)->sin_addr,
		       mask = ((struct sockaddr_in *)at->ifa_netmask)->sin_addr;
	network.s_addr &= mask.s_addr;
	char text[INET_ADDRSTRLEN];
	size_t used = strlen(uplink->near);
	snprintf(uplink->near + used, sizeof(uplink->near) - used, "iifname \"job*\" ip daddr %s/%d reject\n",
		 inet_ntop(AF_INET, &network, text, sizeof(text)), __builtin_popcount(mask.s_addr));
	struct ifreq request = { 0 };
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", at->ifa_name);
	if (ioctl(fd, SIOCGIFMTU, &request) == 0 && (!uplink->mtu || (uint32_t)request.ifr_mtu < uplink->mtu))
		uplink->mtu = (uint32_t)request.ifr_mtu;
}

static int find_uplink(struct uplink *uplink, struct error *err)
{
	struct ifaddrs *list;
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	*uplink = (struct uplink){ 0 };
	if (fd < 0 || getifaddrs(&list) < 0)
		return error_sys(err, errno, "cannot list the host's network interfaces");
	for (const struct ifaddrs *at = list; at; at = at->ifa_next)
		look_at(at, fd, uplink);
	freeifaddrs(list);
	return 0;
}

static int prepare_host(const struct uplink *uplink, struct error *err)
{
	autofree char *text = format_string(rules, uplink->near);
	struct proc_options options = { .timeout_ms = NFT_TIMEOUT_MS };
	/* The rules first: no job's packet goes through a host without them. */
	int status = proc_run((const char *const[]){ "nft", text, NULL }, &options, err);
	if (status < 0)
		return error_prefix(err, "cannot set the host's rules for the job's network: ");
	status = file_write("/proc/sys/net/ipv4/ip_forward", "1\n");
	return status < 0 ? error_sys(err, -status, "cannot let the host forward the job's packets") : 0;
}

int outside_prepare(const struct spec *spec, struct outside **out, struct error *err)
{
	struct uplink uplink;
	*out = NULL;
	if (!spec->network || !spec->address)
		return 0;
	struct outside *way = calloc(1, sizeof(*way));
	if (!way)
		return error_set(err, ENOMEM, "out of memory");
	way->spec = spec;
	way->host = rtnl_open(err);
	int status = way->host < 0 ? way->host : find_gateway(way, err);
	if (status == 0)
		status = find_uplink(&uplink, err);
	if (status == 0)
		status = prepare_host(&uplink, err);
	if (status < 0) {
		outside_free(way);
		return status;
	}
	way->mtu = uplink.mtu;
	*out = way;
	return 0;
}

void outside_free(struct outside *way)
{
	if (way && way->host >= 0)
		close(way->host);
	free(way);
}

/* ---- in the job's namespace ---- */

static int set_route(struct outside *way, bool open, struct error *err)
{
	struct rtnl_route route = { 0 };
	if (open)
		route = (struct rtnl_route){ way->gateway, JOB_END, way->spec->address };
	autoclose int fd = rtnl_open(err);
	return fd < 0 ? fd : rtnl_set_default_route(fd, &route, err);
}

int outside_connect(struct outside *way, struct error *err)
{
	char name[IFNAMSIZ];
	if (!way)
		return 0;
	snprintf(name, sizeof(name), HOST_END "%d", (int)getpid());
	struct rtnl_pair pair = { .name = name, .peer = JOB_END, .peer_process = getpid(), .mtu = way->mtu };
	autoclose int own = rtnl_open(err);
	int status = own < 0 ? own : rtnl_make_pair(way->host, &pair, err);
	if (status == 0)
		status = rtnl_add_address(way->host, name, way->gateway, PREFIX, err);
	/* There is a way out for IPv4 only; the job's own ::1 stays. */
	if (status == 0 &&
	    (status = file_write("/proc/sys/net/ipv6/conf/" JOB_END "/disable_ipv6", "1\n")) < 0)
		status =
		    status == -ENOENT ? 0 : error_sys(err, -status, "cannot switch IPv6 off on " JOB_END);
	if (status == 0)
		status = rtnl_set_up(own, JOB_END, err);
	return status < 0 ? status : set_route(way, true, err);
}

/* ---- connections to the outside ---- */

struct sockets {
	const struct spec *spec;
	struct inet_diag_sockid *ids;
	size_t count;
	int open; /* those that a process holds */
};

bool outside_has(const struct spec *spec, int family, const uint32_t address[4])
{
	if (!spec->network || !spec->address)
		return false;
	uint32_t v4 = ntohl(address[0]);
	if (family == AF_INET6) {
		const struct in6_addr *in6 = (const void *)address;
		if (!IN6_IS_ADDR_V4MAPPED(in6))
			return !IN6_IS_ADDR_LOOPBACK(in6);
		v4 = ntohl(address[3]);
	}
	struct in_addr own;
	inet_pton(AF_INET, spec->address, &own);
	return v4 >> 24 != IN_LOOPBACKNET && v4 != ntohl(own.s_addr);
}

static int note_socket(const void *body, size_t length, void *context)
{
	const struct inet_diag_msg *found = body;
	struct sockets *sockets = context;
	if (length < sizeof(*found) || !outside_has(sockets->spec, found->idiag_family, found->id.idiag_dst))
		return 0;
	if (sockets->count % 64 == 0) {
		void *more = realloc(sockets->ids, (sockets->count + 64) * sizeof(*sockets->ids));
		if (!more)
			return -ENOMEM;
		sockets->ids = more;
	}
	sockets->ids[sockets->count++] = found->id;
	sockets->open += found->idiag_inode != 0;
	return 0;
}

static int destroy_family(int fd, const struct spec *spec, int family, int *closed)
{
	struct sockets sockets = { .spec = spec };
	struct inet_diag_req_v2 request = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		/* What has a peer and is somebody's. */
		.idiag_states = 1U << TCP_ESTABLISHED | 1U << TCP_SYN_SENT | 1U << TCP_FIN_WAIT1 |
				1U << TCP_FIN_WAIT2 | 1U << TCP_CLOSE_WAIT | 1U << TCP_LAST_ACK |
				1U << TCP_CLOSING,
	};
	int status = sockdiag_ask(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, sizeof(request), note_socket,
				  &sockets);
	for (size_t i = 0; status == 0 && i < sockets.count; i++) {
		request.id = sockets.ids[i];
		status = sockdiag_ask(fd, SOCK_DESTROY, NLM_F_ACK, &request, sizeof(request), NULL, NULL);
		if (status == -ENOENT) /* it has ended by itself */
			status = 0;
	}
	free(sockets.ids);
	*closed += sockets.open;
	return status;
}

static int destroy_all(const struct spec *spec, int *closed, struct error *err)
{
	static const int families[] = { AF_INET, AF_INET6 };
	autoclose int fd = sockdiag_open();
	int status = fd < 0 ? fd : 0;
	for (size_t i = 0; status == 0 && i < array_length(families); i++) {
		status = destroy_family(fd, spec, families[i], closed);
		if (status == -ENOENT) /* a kernel without that family */
			status = 0;
	}
	if (status == -EOPNOTSUPP) {
		/* The other end does so at the next packet, from an address that it does not know. */
		log_info("this kernel cannot close the job's connections (CONFIG_INET_DIAG_DESTROY)");
		status = 0;
	}
	return status < 0 ? error_sys(err, -status, "cannot close the job's connections to the outside") : 0;
}

int outside_close(struct outside *way, int *closed, struct error *err)
{
	*closed = 0;
	if (!way)
		return 0;
	way->closed = true;
	/* While there is a way, so that the other ends are told; then whatever was begun meanwhile. */
	int status = destroy_all(way->spec, closed, err);
	if (status == 0)
		status = set_route(way, false, err);
	return status < 0 ? status : destroy_all(way->spec, closed, err);
}

int outside_open(struct outside *way, struct error *err)
{
	if (!way || !way->closed)
		return 0;
	int status = set_route(way, true, err);
	way->closed = status < 0;
	return status;
}
