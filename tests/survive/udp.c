/* UDP sockets, bound and connected, on 127.0.0.1 and on the job's own address, still send and receive; nothing sent fails. */
#include "tests/survive/tcp.h"

/* Without a pause, also in the moment before the freeze. */
static void keep_sending(void)
{
	struct sockaddr_in address = tcp_address("127.0.0.1");
	socklen_t length = sizeof(address);
	int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
	char byte;
	check(receiver >= 0 && bind(receiver, (struct sockaddr *)&address, length) == 0);
	check(getsockname(receiver, (struct sockaddr *)&address, &length) == 0);
	check(connect(sender, (struct sockaddr *)&address, length) == 0);
	/* What was under way may be lost, as UDP has it. */
	for (;; usleep(500)) {
		check(send(sender, "x", 1, 0) == 1);
		recv(receiver, &byte, 1, MSG_DONTWAIT);
	}
}

int main(void)
{
	pid_t child = fork();
	if (child == 0)
		keep_sending();
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
			check(waitpid(child, NULL, WNOHANG) == 0);
		}
	survive_kill_child(child);
	survive_ok();
	return 0;
}
