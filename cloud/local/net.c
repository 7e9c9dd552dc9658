#include "cloud/local/net.h"

#include <arpa/inet.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/rtnl.h"

static void mac_of(const char *address, uint8_t mac[RTNL_MAC_SIZE])
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
	autoclose int fd = rtnl_open(err);
	int status = fd;
	if (status >= 0 && address)
		status = rtnl_add_address(fd, name, address, NET_PREFIX, err);
	return status < 0 ? status : rtnl_set_up(fd, name, err);
}

int net_bridge_create(const char *address, struct error *err)
{
	uint8_t mac[RTNL_MAC_SIZE];
	autoclose int fd = rtnl_open(err);
	if (fd < 0)
		return fd;
	/* A fixed one: else a bridge takes the lowest of its ports', which come and go. */
	mac_of(address, mac);
	int status = rtnl_make_bridge(fd, NET_BRIDGE, mac, err);
	if (status == 0)
		status = net_up("lo", NULL, err);
	return status < 0 ? status : net_up(NET_BRIDGE, address, err);
}

int net_pair_create(const char *name, pid_t peer, const char *peer_address, struct error *err)
{
	uint8_t mac[RTNL_MAC_SIZE];
	mac_of(peer_address, mac);
	struct rtnl_pair pair = {
		.name = name, .bridge = NET_BRIDGE, .peer = "eth0", .peer_process = peer, .peer_mac = mac
	};
	autoclose int fd = rtnl_open(err);
	return fd < 0 ? fd : rtnl_make_pair(fd, &pair, err);
}

int net_remove(const char *name, struct error *err)
{
	autoclose int fd = rtnl_open(err);
	return fd < 0 ? fd : rtnl_remove(fd, name, err);
}

int net_default_route(const char *gateway, struct error *err)
{
	autoclose int fd = rtnl_open(err);
	struct rtnl_route route = { .gateway = gateway };
	return fd < 0 ? fd : rtnl_set_default_route(fd, &route, err);
}
