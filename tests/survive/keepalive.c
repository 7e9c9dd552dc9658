/* TCP connections whose ends give up after seconds of silence (SO_KEEPALIVE, TCP_USER_TIMEOUT), however long the move takes. */
#include "tests/survive/tcp.h"

static void set(int fd, int level, int name, int value)
{
	check(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);
	check(getsockopt(fd, level, name, &value, &length) == 0);
	return value;
}

static void keep_alive(int fd)
{
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, 2);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

static void check_alive(int from, int to)
{
	char byte;
	check(send(from, "x", 1, MSG_NOSIGNAL) == 1);
	check(recv(to, &byte, 1, 0) == 1);
	check(get(from, SOL_SOCKET, SO_KEEPALIVE) == 1 && get(from, IPPROTO_TCP, TCP_KEEPCNT) == 2);
}

int main(void)
{
	int client[2], server[2];
	tcp_pair("127.0.0.1", &client[0], &server[0]);
	tcp_pair(tcp_own_host(), &client[1], &server[1]);
	for (int i = 0; i < 2; i++) {
		keep_alive(client[i]);
		keep_alive(server[i]);
	}
	set(client[1], IPPROTO_TCP, TCP_USER_TIMEOUT, 2500);
	while (survive_moved()) {
		for (int i = 0; i < 2; i++) {
			check_alive(client[i], server[i]);
			check_alive(server[i], client[i]);
		}
		check(get(client[1], IPPROTO_TCP, TCP_USER_TIMEOUT) == 2500);
	}
	survive_ok();
	return 0;
}
