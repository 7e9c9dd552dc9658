/* UDP sockets, bound and connected, on 127.0.0.1 and on the job's own address, still send and receive. */
#include "tests/survive/tcp.h"

int main(void)
{
	const char *hosts[] = { "127.0.0.1", tcp_own_host() };
	struct sockaddr_in address[2], from;
	int server[2], client[2];
	for (int i = 0; i < 2; i++) {
		socklen_t length = sizeof(address[i]);
		address[i] = tcp_address(hosts[i]);
		server[i] = socket(AF_INET, SOCK_DGRAM, 0);
		client[i] = socket(AF_INET, SOCK_DGRAM, 0);
		check(server[i] >= 0 && bind(server[i], (struct sockaddr *)&address[i], length) == 0);
		check(getsockname(server[i], (struct sockaddr *)&address[i], &length) == 0);
		check(connect(client[i], (struct sockaddr *)&address[i], length) == 0);
	}
	while (survive_moved())
		for (int i = 0; i < 2; i++) {
			char text[16];
			socklen_t length = sizeof(from);
			check(send(client[i], "ping", 4, 0) == 4);
			check(recvfrom(server[i], text, sizeof(text), 0, (struct sockaddr *)&from, &length) ==
			      4);
			check(sendto(server[i], "pong!", 5, 0, (struct sockaddr *)&from, length) == 5);
			check(recv(client[i], text, sizeof(text), 0) == 5);
		}
	survive_ok();
	return 0;
}
