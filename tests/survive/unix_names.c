/* Connected unix sockets know the name of their peer, and which process and user it was. */
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/survive/survive.h"

static void check_name(int fd, const char *wanted, int peer)
{
	struct sockaddr_un name = { 0 };
	socklen_t length = sizeof(name);
	check((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&name, &length) == 0);
	check(!strcmp(name.sun_path, wanted));
}

int main(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "named" };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	check(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 5) == 0);
	check(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
	int server = accept(listener, NULL, NULL);
	check(server >= 0);
	do {
		struct ucred other = { 0 };
		socklen_t length = sizeof(other);
		check_name(client, "", 0);
		check_name(server, "", 1);
		check_name(server, "named", 0);
		check_name(client, "named", 1);
		check(getsockopt(server, SOL_SOCKET, SO_PEERCRED, &other, &length) == 0);
		check(other.uid == getuid() && other.gid == getgid());
		check(other.pid == getpid());
	} while (survive_moved());
	survive_ok();
	return 0;
}
