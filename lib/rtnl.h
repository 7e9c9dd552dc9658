/*
 * Network interfaces, IPv4 addresses and routes, by rtnetlink(7). A socket acts in the network namespace in
 * which it was opened, wherever its process goes afterwards. One thread uses a socket at a time. Interfaces
 * are named by at most IFNAMSIZ - 1 bytes, addresses are texts.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "lib/error.h"

enum { RTNL_MAC_SIZE = 6 };

/* A socket of the calling thread's network namespace; the caller closes it. */
int rtnl_open(struct error *err);

struct rtnl_pair {
	const char *name;
	const char *bridge;      /* what it is a port of, or NULL */
	const char *peer;        /* the other end's name */
	pid_t peer_process;      /* in whose network namespace the other end is */
	const uint8_t *peer_mac; /* NULL: a random one */
	uint32_t mtu;            /* of both ends; 0: the usual one */
};

/* A veth pair; the near end is up. */
int rtnl_make_pair(int fd, const struct rtnl_pair *pair, struct error *err);

/* One that is there already stays as it is. */
int rtnl_make_bridge(int fd, const char *name, const uint8_t mac[RTNL_MAC_SIZE], struct error *err);

/* No such interface is success. */
int rtnl_remove(int fd, const char *name, struct error *err);

int rtnl_set_up(int fd, const char *name, struct error *err);

/* An address that it has already is success. */
int rtnl_add_address(int fd, const char *name, const char *address, int prefix, struct error *err);

struct rtnl_route {
	const char *gateway;   /* NULL: there is no way, connections fail with EHOSTUNREACH */
	const char *interface; /* where the gateway is, whatever the addresses say; NULL: as they say */
	const char *source;    /* the own address to use; NULL: the interface's */
};

/* In the place of the default route that is there. */
int rtnl_set_default_route(int fd, const struct rtnl_route *route, struct error *err);
