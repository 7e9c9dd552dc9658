/* A TCP connection that was not yet accepted, with what its client has already sent, is accepted later. */
#include <poll.h>

#include "tests/survive/tcp.h"

int main(void)
{
	struct sockaddr_in address;
	int listener = tcp_listen("127.0.0.1", &address), client = -1;
	char text[16];
	bool moved = false;
	do {
		if (moved) {
			check(poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, 5000) == 1);
			int server = accept(listener, NULL, NULL);
			check(server >= 0 && recv(server, text, 7, MSG_WAITALL) == 7 &&
			      !memcmp(text, "waiting", 7));
			check(send(server, "answer", 6, 0) == 6 && recv(client, text, 6, MSG_WAITALL) == 6);
			check(close(server) == 0 && close(client) == 0);
		}
		client = tcp_connect(&address);
		check(send(client, "waiting", 7, 0) == 7);
	} while ((moved = survive_moved()));
	survive_ok();
	return 0;
}
