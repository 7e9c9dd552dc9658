/*
 * The network of the local provider: a bridge in floatfs's own namespace, and a veth pair for each host. In
 * the network namespace of the calling thread. Any thread may call these.
 */
#pragma once

#include <sys/types.h>

#include "lib/error.h"

#define NET_BRIDGE "float0"
enum { NET_PREFIX = 16, NET_NAME_SIZE = 16 };

/* Make the bridge with its address, and lo; what is there already stays. */
int net_bridge_create(const char *address, struct error *err);

/* A pair: one end on the bridge, the other as eth0 in the namespace of a process. */
int net_pair_create(const char *name, pid_t peer, const char *peer_address, struct error *err);

/* No such interface is success. */
int net_remove(const char *name, struct error *err);

/* Switch an interface on, with an IPv4 address unless it is NULL. */
int net_up(const char *name, const char *address, struct error *err);

/* What is not on the bridge's network goes there. */
int net_default_route(const char *gateway, struct error *err);
