/* Unix stream sockets: a pair and a connection by a path, with bytes in flight both ways; one side shut down.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/survive/survive.h"

/* What is written at one end before the move is read at the other end after it. */
static void check_flight(int from, int to, bool moved)
{
	char text[32] = "";
	if (moved)
		check(read(to, text, sizeof(text)) == 9 && !memcmp(text, "in flight", 9));
	check(write(from, "in flight", 9) == 9);
}

int main(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "stream" };
	int pair[2], half[2], size = 0;
	socklen_t length = sizeof(size);
	char byte;
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 &&
	      socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0),
	    client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	check(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 5) == 0);
	check(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
	int server = accept(listener, NULL, NULL);
	check(server >= 0 && close(listener) == 0 && shutdown(half[0], SHUT_WR) == 0);
	bool moved = false;
	do {
		check_flight(pair[0], pair[1], moved);
		check_flight(pair[1], pair[0], moved);
		check_flight(server, client, moved);
		check_flight(client, server, moved);
		check(read(half[1], &byte, 1) == 0 && write(half[1], "x", 1) == 1 &&
		      read(half[0], &byte, 1) == 1);
		check(fcntl(client, F_GETFL) & O_NONBLOCK);
		check(getsockopt(client, SOL_SOCKET, SO_TYPE, &size, &length) == 0 && size == SOCK_STREAM);
	} while ((moved = survive_moved()));
	check(read(pair[0], (char[16]){ 0 }, 16) == 9 && close(pair[0]) == 0);
	check(read(pair[1], (char[16]){ 0 }, 16) == 9 && read(pair[1], &byte, 1) == 0);
	survive_ok();
	return 0;
}
