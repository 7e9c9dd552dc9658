/* Sockets of the internet for the programs of tests/survive. */
#pragma once

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tests/survive/survive.h"

static inline struct sockaddr_in tcp_address(const char *host)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	check(inet_pton(AF_INET, host, &address.sin_addr) == 1);
	return address;
}

/* The job's own address: the first that is not 127.0.0.1. */
static inline const char *tcp_own_host(void)
{
	static char text[INET_ADDRSTRLEN];
	struct ifaddrs *list;
	check(getifaddrs(&list) == 0);
	for (struct ifaddrs *at = list; at && !text[0]; at = at->ifa_next) {
		const struct sockaddr_in *address = (const struct sockaddr_in *)at->ifa_addr;
		if (address && address->sin_family == AF_INET && ntohl(address->sin_addr.s_addr) >> 24 != 127)
			inet_ntop(AF_INET, &address->sin_addr, text, sizeof(text));
	}
	freeifaddrs(list);
	check(text[0]);
	return text;
}

static inline int tcp_listen(const char *host, struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	*address = tcp_address(host);
	check(fd >= 0 && bind(fd, (struct sockaddr *)address, sizeof(*address)) == 0 && listen(fd, 8) == 0);
	check(getsockname(fd, (struct sockaddr *)address, &length) == 0);
	return fd;
}

static inline int tcp_connect(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	check(fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0);
	return fd;
}

/* A connection to itself by that address. */
static inline void tcp_pair(const char *host, int *client, int *server)
{
	struct sockaddr_in address;
	int listener = tcp_listen(host, &address);
	*client = tcp_connect(&address);
	*server = accept(listener, NULL, NULL);
	check(*server >= 0 && close(listener) == 0);
}
