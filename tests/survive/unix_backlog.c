/* A unix connection that was not yet accepted, with what its client has already written, is accepted later. */
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/survive/survive.h"

int main(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "listening" };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = -1;
	char text[16];
	check(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 5) == 0);
	bool moved = false;
	do {
		if (moved) {
			int server = accept(listener, NULL, NULL);
			check(server >= 0 && read(server, text, sizeof(text)) == 7 &&
			      !memcmp(text, "waiting", 7));
			check(write(server, "answer", 6) == 6 && read(client, text, sizeof(text)) == 6);
			check(close(server) == 0 && close(client) == 0);
		}
		client = socket(AF_UNIX, SOCK_STREAM, 0);
		check(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
		check(write(client, "waiting", 7) == 7);
	} while ((moved = survive_moved()));
	survive_ok();
	return 0;
}
