#include "cloud/local/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

/* One rtnetlink request, attributes appended after the fixed part. */
struct request {
	struct nlmsghdr header;
	struct ifinfomsg link;
	char attributes[512];
};

static void request_start(struct request *request, uint16_t type, uint16_t flags)
{
	*request = (struct request){
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(request->link)),
			    .nlmsg_type = type,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags },
		.link = { .ifi_family = AF_UNSPEC },
	};
}

/* All callers' attributes together are far below the buffer's size. */
static struct rtattr *request_add(struct request *request, uint16_t type, const void *data, size_t length)
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

static void request_end_nest(struct request *request, struct rtattr *nest)
{
	nest->rta_len = (uint16_t)((char *)request + request->header.nlmsg_len - (char *)nest);
}

/* Send it and wait for the kernel's answer: 0 or -errno. */
static int request_send(struct request *request)
{
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || send(fd, request, request->header.nlmsg_len, 0) < 0)
		return -errno;
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[1024];
	} answer;
	ssize_t got;
	do
		got = recv(fd, &answer, sizeof(answer), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if ((size_t)got < NLMSG_LENGTH(sizeof(answer.error)) || answer.header.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}

static void mac_of(const char *address, unsigned char mac[6])
{
	/*
	 * Locally administered, and the address itself: a host that gets an earlier one's address has its MAC
	 * too, so no neighbour table ever holds a wrong one.
	 */
	mac[0] = 0x02;
	mac[1] = 0xf1;
	memset(mac + 2, 0, 4);
	inet_pton(AF_INET, address, mac + 2);
}

int net_up(const char *name, const char *address, struct error *err)
{
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_sys(err, errno, "cannot open a socket");
	struct ifreq request = { 0 };
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (address) {
		struct sockaddr_in inet = { .sin_family = AF_INET };
		inet_pton(AF_INET, address, &inet.sin_addr);
		memcpy(&request.ifr_addr, &inet, sizeof(inet));
		if (ioctl(fd, SIOCSIFADDR, &request) < 0)
			return error_sys(err, errno, "cannot set the address of %s", name);
		inet.sin_addr.s_addr = htonl(UINT32_MAX << (32 - NET_PREFIX));
		memcpy(&request.ifr_netmask, &inet, sizeof(inet));
		if (ioctl(fd, SIOCSIFNETMASK, &request) < 0)
			return error_sys(err, errno, "cannot set the netmask of %s", name);
	}
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return error_sys(err, errno, "cannot read the flags of %s", name);
	request.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return error_sys(err, errno, "cannot switch %s on", name);
	return 0;
}

int net_bridge_create(const char *address, struct error *err)
{
	struct request request;
	unsigned char mac[6];
	mac_of(address, mac);
	request_start(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	request_add(&request, IFLA_IFNAME, NET_BRIDGE, sizeof(NET_BRIDGE));
	/* A fixed one: else a bridge takes the lowest of its ports', which come and go. */
	request_add(&request, IFLA_ADDRESS, mac, sizeof(mac));
	struct rtattr *info = request_add(&request, IFLA_LINKINFO, NULL, 0);
	request_add(&request, IFLA_INFO_KIND, "bridge", sizeof("bridge"));
	request_end_nest(&request, info);
	int status = request_send(&request);
	if (status < 0 && status != -EEXIST)
		return error_sys(err, -status, "cannot make the network bridge " NET_BRIDGE);
	status = net_up("lo", NULL, err);
	return status < 0 ? status : net_up(NET_BRIDGE, address, err);
}

int net_pair_create(const char *name, pid_t peer, const char *peer_address, struct error *err)
{
	uint32_t bridge = if_nametoindex(NET_BRIDGE), process = (uint32_t)peer;
	if (!bridge)
		return error_sys(err, errno, "the network bridge " NET_BRIDGE " is not there");
	unsigned char mac[6];
	mac_of(peer_address, mac);
	struct request request;
	request_start(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	request.link.ifi_flags = request.link.ifi_change = IFF_UP;
	request_add(&request, IFLA_IFNAME, name, strlen(name) + 1);
	request_add(&request, IFLA_MASTER, &bridge, sizeof(bridge));
	struct rtattr *info = request_add(&request, IFLA_LINKINFO, NULL, 0);
	request_add(&request, IFLA_INFO_KIND, "veth", sizeof("veth"));
	struct rtattr *data = request_add(&request, IFLA_INFO_DATA, NULL, 0);
	struct ifinfomsg other = { .ifi_family = AF_UNSPEC };
	struct rtattr *end = request_add(&request, VETH_INFO_PEER, &other, sizeof(other));
	request_add(&request, IFLA_IFNAME, "eth0", sizeof("eth0"));
	request_add(&request, IFLA_ADDRESS, mac, sizeof(mac));
	request_add(&request, IFLA_NET_NS_PID, &process, sizeof(process));
	request_end_nest(&request, end);
	request_end_nest(&request, data);
	request_end_nest(&request, info);
	int status = request_send(&request);
	if (status < 0)
		return error_sys(err, -status, "cannot make the network interface %s", name);
	return 0;
}

int net_remove(const char *name, struct error *err)
{
	struct request request;
	request_start(&request, RTM_DELLINK, 0);
	request_add(&request, IFLA_IFNAME, name, strlen(name) + 1);
	int status = request_send(&request);
	if (status < 0 && status != -ENODEV)
		return error_sys(err, -status, "cannot remove the network interface %s", name);
	return 0;
}
