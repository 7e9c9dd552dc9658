/* A listening unix socket is found at its path, with a connection that was not yet accepted. */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/survive/survive.h"

static int connect_to(const struct sockaddr_un *address, socklen_t length)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	check(fd >= 0 && connect(fd, (const struct sockaddr *)address, length) == 0);
	return fd;
}

int main(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "listening" };
	struct sockaddr_un hidden = { .sun_family = AF_UNIX, .sun_path = "\0survive" };
	socklen_t length = offsetof(struct sockaddr_un, sun_path) + 8;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), abstract = socket(AF_UNIX, SOCK_STREAM, 0),
	    waiting = -1;
	check(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 5) == 0);
	check(bind(abstract, (struct sockaddr *)&hidden, length) == 0 && listen(abstract, 5) == 0);
	bool moved = false;
	do {
		char text[16];
		if (moved) {
			int server = accept(listener, NULL, NULL);
			check(server >= 0 && write(waiting, "waited", 6) == 6 &&
			      read(server, text, sizeof(text)) == 6);
			check(write(server, "answer", 6) == 6 && read(waiting, text, sizeof(text)) == 6);
			check(close(server) == 0 && close(waiting) == 0);
			int client = connect_to(&hidden, length);
			server = accept(abstract, NULL, NULL);
			check(server >= 0 && write(client, "x", 1) == 1 && read(server, text, 1) == 1);
			check(close(server) == 0 && close(client) == 0);
		}
		waiting = connect_to(&address, sizeof(address));
	} while ((moved = survive_moved()));
	survive_ok();
	return 0;
}
