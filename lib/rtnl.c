#include "lib/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

/* One request: a fixed part of its kind, then attributes. */
struct request {
	struct nlmsghdr header;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
		char room[512];
	};
};

static void start(struct request *request, uint16_t type, uint16_t flags, size_t fixed)
{
	*request = (struct request){
		.header = { .nlmsg_len = NLMSG_LENGTH(fixed),
			    .nlmsg_type = type,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags },
	};
}

/* All callers' attributes together are far below the buffer's size. */
static struct rtattr *add(struct request *request, uint16_t type, const void *data, size_t length)
{
	struct rtattr *attribute =
	    (struct rtattr *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
	attribute->rta_type = type;
	attribute->rta_len = (uint16_t)RTA_LENGTH(length);
	if (length)
		memcpy(RTA_DATA(attribute), data, length);
	request->header.nlmsg_len =
	    (uint32_t)(NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len));
	return attribute;
}

static void add_text(struct request *request, uint16_t type, const char *text)
{
	add(request, type, text, strlen(text) + 1);
}

static void end_nest(struct request *request, struct rtattr *nest)
{
	nest->rta_len = (uint16_t)((char *)request + request->header.nlmsg_len - (char *)nest);
}

/* Send it and wait for the kernel's answer: 0 or -errno. An answer with the index of a link is kept in it. */
static int ask(int fd, struct request *request, int *index)
{
	if (send(fd, request, request->header.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		union {
			struct nlmsghdr header;
			char room[16384];
		} answer;
		ssize_t got = recv(fd, &answer, sizeof(answer), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		size_t left = (size_t)got;
		for (struct nlmsghdr *part = &answer.header; NLMSG_OK(part, left);
		     part = NLMSG_NEXT(part, left)) {
			if (part->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(part))->error;
			if (part->nlmsg_type == RTM_NEWLINK && index)
				*index = ((const struct ifinfomsg *)NLMSG_DATA(part))->ifi_index;
		}
	}
}

int rtnl_open(struct error *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	return fd < 0 ? error_sys(err, errno, "cannot open a socket for network interfaces") : fd;
}

/* if_nametoindex(3) looks into the thread's namespace, not the socket's. */
static int find_index(int fd, const char *name, struct error *err)
{
	struct request request;
	int index = 0;
	start(&request, RTM_GETLINK, 0, sizeof(request.link));
	add_text(&request, IFLA_IFNAME, name);
	int status = ask(fd, &request, &index);
	if (status < 0 || index == 0)
		return error_sys(err, status < 0 ? -status : EPROTO, "the network interface %s is not there",
				 name);
	return index;
}

int rtnl_make_pair(int fd, const struct rtnl_pair *pair, struct error *err)
{
	uint32_t bridge = 0, process = (uint32_t)pair->peer_process;
	if (pair->bridge) {
		int index = find_index(fd, pair->bridge, err);
		if (index < 0)
			return index;
		bridge = (uint32_t)index;
	}
	struct request request;
	start(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(request.link));
	request.link.ifi_flags = request.link.ifi_change = IFF_UP;
	add_text(&request, IFLA_IFNAME, pair->name);
	if (bridge)
		add(&request, IFLA_MASTER, &bridge, sizeof(bridge));
	if (pair->mtu)
		add(&request, IFLA_MTU, &pair->mtu, sizeof(pair->mtu));
	struct rtattr *info = add(&request, IFLA_LINKINFO, NULL, 0);
	add_text(&request, IFLA_INFO_KIND, "veth");
	struct rtattr *data = add(&request, IFLA_INFO_DATA, NULL, 0);
	struct ifinfomsg other = { .ifi_family = AF_UNSPEC };
	struct rtattr *end = add(&request, VETH_INFO_PEER, &other, sizeof(other));
	add_text(&request, IFLA_IFNAME, pair->peer);
	if (pair->mtu)
		add(&request, IFLA_MTU, &pair->mtu, sizeof(pair->mtu));
	if (pair->peer_mac)
		add(&request, IFLA_ADDRESS, pair->peer_mac, RTNL_MAC_SIZE);
	add(&request, IFLA_NET_NS_PID, &process, sizeof(process));
	end_nest(&request, end);
	end_nest(&request, data);
	end_nest(&request, info);
	int status = ask(fd, &request, NULL);
	return status < 0 ? error_sys(err, -status, "cannot make the network interface %s", pair->name) : 0;
}

int rtnl_make_bridge(int fd, const char *name, const uint8_t mac[RTNL_MAC_SIZE], struct error *err)
{
	struct request request;
	start(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(request.link));
	add_text(&request, IFLA_IFNAME, name);
	add(&request, IFLA_ADDRESS, mac, RTNL_MAC_SIZE);
	struct rtattr *info = add(&request, IFLA_LINKINFO, NULL, 0);
	add_text(&request, IFLA_INFO_KIND, "bridge");
	end_nest(&request, info);
	int status = ask(fd, &request, NULL);
	if (status < 0 && status != -EEXIST)
		return error_sys(err, -status, "cannot make the network bridge %s", name);
	return 0;
}

int rtnl_remove(int fd, const char *name, struct error *err)
{
	struct request request;
	start(&request, RTM_DELLINK, 0, sizeof(request.link));
	add_text(&request, IFLA_IFNAME, name);
	int status = ask(fd, &request, NULL);
	if (status < 0 && status != -ENODEV)
		return error_sys(err, -status, "cannot remove the network interface %s", name);
	return 0;
}

int rtnl_set_up(int fd, const char *name, struct error *err)
{
	struct request request;
	start(&request, RTM_NEWLINK, 0, sizeof(request.link));
	request.link.ifi_flags = request.link.ifi_change = IFF_UP;
	add_text(&request, IFLA_IFNAME, name);
	int status = ask(fd, &request, NULL);
	return status < 0 ? error_sys(err, -status, "cannot switch %s on", name) : 0;
}

static int parse(const char *text, struct in_addr *address, struct error *err)
{
	return inet_pton(AF_INET, text, address) == 1 ? 0
						      : error_set(err, EINVAL, "%s is no IPv4 address", text);
}

int rtnl_add_address(int fd, const char *name, const char *address, int prefix, struct error *err)
{
	struct in_addr in;
	int status = parse(address, &in, err), index = status < 0 ? status : find_index(fd, name, err);
	if (index < 0)
		return index;
	struct request request;
	start(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(request.address));
	request.address.ifa_family = AF_INET;
	request.address.ifa_prefixlen = (uint8_t)prefix;
	request.address.ifa_index = (uint32_t)index;
	add(&request, IFA_LOCAL, &in, sizeof(in));
	add(&request, IFA_ADDRESS, &in, sizeof(in));
	status = ask(fd, &request, NULL);
	if (status < 0 && status != -EEXIST)
		return error_sys(err, -status, "cannot give %s the address %s", name, address);
	return 0;
}

int rtnl_set_default_route(int fd, const struct rtnl_route *route, struct error *err)
{
	const struct {
		uint16_t type;
		const char *text;
	} addresses[] = { { RTA_GATEWAY, route->gateway }, { RTA_PREFSRC, route->source } };
	struct request request;
	start(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(request.route));
	request.route.rtm_family = AF_INET;
	request.route.rtm_table = RT_TABLE_MAIN;
	request.route.rtm_protocol = RTPROT_STATIC;
	request.route.rtm_type = route->gateway ? RTN_UNICAST : RTN_UNREACHABLE;
	for (size_t i = 0; i < array_length(addresses); i++) {
		struct in_addr in;
		if (!addresses[i].text)
			continue;
		int status = parse(addresses[i].text, &in, err);
		if (status < 0)
			return status;
		add(&request, addresses[i].type, &in, sizeof(in));
	}
	if (route->interface) {
		int index = find_index(fd, route->interface, err);
		if (index < 0)
			return index;
		request.route.rtm_flags = RTNH_F_ONLINK;
		add(&request, RTA_OIF, &index, sizeof(index));
	}
	int status = ask(fd, &request, NULL);
	return status < 0 ? error_sys(err, -status, "cannot set the default route") : 0;
}
