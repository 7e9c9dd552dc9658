/* Unix datagram and seqpacket sockets keep their messages apart, their names and their peers. */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/survive/survive.h"

int main(void)
{
	struct sockaddr_un server_name = { .sun_family = AF_UNIX, .sun_path = "server" };
	struct sockaddr_un client_name = { .sun_family = AF_UNIX, .sun_path = "\0survive-client" }, from;
	socklen_t client_length = offsetof(struct sockaddr_un, sun_path) + 15, length;
	int server = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_DGRAM, 0), pair[2];
	char text[32];
	check(bind(server, (struct sockaddr *)&server_name, sizeof(server_name)) == 0);
	check(bind(client, (struct sockaddr *)&client_name, client_length) == 0);
	check(connect(client, (struct sockaddr *)&server_name, sizeof(server_name)) == 0);
	check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	bool moved = false;
	do {
		if (moved) {
			length = sizeof(from);
			check(recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&from, &length) ==
			      3);
			check(!memcmp(text, "one", 3) && recv(server, text, sizeof(text), 0) == 5);
			check(recv(pair[1], text, 2, 0) == 2 && recv(pair[1], text, sizeof(text), 0) == 4);
			check(!memcmp(text, "next", 4));
		}
		check(send(client, "one", 3, 0) == 3 && send(client, "three", 5, 0) == 5);
		check(send(pair[0], "long one", 8, 0) == 8 && send(pair[0], "next", 4, 0) == 4);
		length = sizeof(from);
		check(getsockname(client, (struct sockaddr *)&from, &length) == 0 && length == client_length);
	} while ((moved = survive_moved()));
	survive_ok();
	return 0;
}
