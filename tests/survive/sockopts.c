/* Options of sockets of the internet and unix ones: of TCP, of IP and IPv6, and for each socket's time stamps, stay as
 * they were set, by whichever of its descriptors. */
#include <sys/un.h>

#include "tests/survive/tcp.h"

enum { VALUE_MAX = 16, SOCKETS = 5 };

static const struct {
	int level, name, value;
} options[] = {
	{ SOL_SOCKET, SO_TIMESTAMPNS, 1 },
	{ SOL_SOCKET, SO_RXQ_OVFL, 1 },
	{ SOL_SOCKET, SO_PEEK_OFF, 3 },
	{ SOL_SOCKET, SO_KEEPALIVE, 1 },
	{ IPPROTO_IP, IP_RECVERR, 1 },
	{ IPPROTO_IP, IP_RECVTTL, 1 },
	{ IPPROTO_IP, IP_TTL, 33 },
	{ IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO },
	{ IPPROTO_IP, IP_MULTICAST_TTL, 9 },
	{ IPPROTO_IP, IP_MULTICAST_LOOP, 0 },
	{ IPPROTO_IPV6, IPV6_RECVERR, 1 },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1 },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44 },
	{ IPPROTO_TCP, TCP_NODELAY, 1 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, 12345 },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, 9 },
	{ IPPROTO_TCP, TCP_SYNCNT, 3 },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, 5000 },
	{ IPPROTO_TCP, TCP_LINGER2, 7 },
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

struct values {
	int option[SOCKETS][OPTIONS];
	char congestion[SOCKETS][VALUE_MAX];
};

static void get(const int *sockets, struct values *values)
{
	memset(values, 0, sizeof(*values));
	for (int i = 0; i < SOCKETS; i++) {
		socklen_t length = VALUE_MAX;
		for (int j = 0; j < OPTIONS; j++) {
			length = sizeof(int);
			if (getsockopt(sockets[i], options[j].level, options[j].name, &values->option[i][j],
				       &length) < 0)
				values->option[i][j] = INT32_MIN;
		}
		length = VALUE_MAX;
		getsockopt(sockets[i], IPPROTO_TCP, TCP_CONGESTION, values->congestion[i], &length);
	}
}

int main(void)
{
	int sockets[SOCKETS], server, set = 0;
	struct sockaddr_in address;
	struct values before, after;
	sockets[0] = tcp_listen("127.0.0.1", &address);
	tcp_pair("127.0.0.1", &sockets[1], &server);
	sockets[2] = socket(AF_INET, SOCK_DGRAM, 0);
	sockets[3] = socket(AF_INET6, SOCK_DGRAM, 0);
	sockets[4] = socket(AF_UNIX, SOCK_DGRAM, 0);
	/* Not each kind of socket has each option. */
	for (int i = 0; i < SOCKETS; i++)
		for (int j = 0; j < OPTIONS; j++)
			set += setsockopt(sockets[i], options[j].level, options[j].name, &options[j].value,
					  sizeof(int)) == 0;
	check(set > 2 * OPTIONS);
	setsockopt(sockets[0], IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	setsockopt(sockets[1], IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	check(dup2(sockets[2], 100) == 100);
	get(sockets, &before);
	while (survive_moved()) {
		get(sockets, &after);
		for (int i = 0; i < SOCKETS; i++) {
			check(!strcmp(before.congestion[i], after.congestion[i]));
			for (int j = 0; j < OPTIONS; j++)
				if (before.option[i][j] != after.option[i][j]) {
					printf("socket %d, option %d:%d: it was %d, it is %d\n", i,
					       options[j].level, options[j].name, before.option[i][j],
					       after.option[i][j]);
					return 1;
				}
		}
		check(send(sockets[1], "x", 1, 0) == 1 && recv(server, &set, 1, 0) == 1);
	}
	survive_ok();
	return 0;
}
