/* TCP connections within the job, on 127.0.0.1 and on its own address, with bytes in flight and their
 * options. */
#include "tests/survive/tcp.h"

static void check_flight(int from, int to, bool moved)
{
	char text[32] = "";
	if (moved)
		check(recv(to, text, 9, MSG_WAITALL) == 9 && !memcmp(text, "in flight", 9));
	check(send(from, "in flight", 9, 0) == 9);
}

int main(void)
{
	int client[2], server[2], on = 1;
	tcp_pair("127.0.0.1", &client[0], &server[0]);
	tcp_pair(tcp_own_host(), &client[1], &server[1]);
	check(setsockopt(client[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	check(setsockopt(client[1], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0);
	bool moved = false;
	do {
		for (int i = 0; i < 2; i++) {
			check_flight(client[i], server[i], moved);
			check_flight(server[i], client[i], moved);
		}
		socklen_t length = sizeof(on);
		check(!getsockopt(client[0], IPPROTO_TCP, TCP_NODELAY, &on, &length) && on);
		check(!getsockopt(client[1], SOL_SOCKET, SO_KEEPALIVE, &on, &length) && on);
	} while ((moved = survive_moved()));
	survive_ok();
	return 0;
}
