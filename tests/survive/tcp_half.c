/* TCP connections that one side has shut down, and one that the other has closed with bytes not yet read. */
#include "tests/survive/tcp.h"

int main(void)
{
	int client, server, left, closed;
	char text[16];
	tcp_pair("127.0.0.1", &client, &server);
	tcp_pair("127.0.0.1", &left, &closed);
	check(shutdown(client, SHUT_WR) == 0 && send(closed, "last words", 10, 0) == 10 &&
	      close(closed) == 0);
	while (survive_moved()) {
		check(recv(server, text, sizeof(text), 0) == 0);
		check(send(server, "still", 5, 0) == 5 && recv(client, text, 5, MSG_WAITALL) == 5);
		check(recv(left, text, 10, MSG_WAITALL | MSG_PEEK) == 10 && !memcmp(text, "last words", 10));
	}
	check(recv(left, text, 10, MSG_WAITALL) == 10 && recv(left, text, 1, 0) == 0);
	survive_ok();
	return 0;
}
