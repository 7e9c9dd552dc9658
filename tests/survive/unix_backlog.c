/* Unix connections that wait for a slow server to accept them: a move waits for that, and none is lost, nor what was
 * written on them; one on which nothing was written yet is moved as it waits. */
#include <sys/un.h>

#include "tests/survive/backlog.h"

static int connect_to(const void *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	check(fd >= 0 && connect(fd, address, sizeof(struct sockaddr_un)) == 0);
	return fd;
}

static int listen_at(const char *name, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strncpy(address->sun_path, name, sizeof(address->sun_path) - 1);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	check(fd >= 0 && bind(fd, (struct sockaddr *)address, sizeof(*address)) == 0 && listen(fd, 5) == 0);
	return fd;
}

/* Written on and accepted after the moves. */
static void check_silent(int listener, int client)
{
	char text[16];
	int server = accept(listener, NULL, NULL);
	check(server >= 0 && write(client, "late", 4) == 4 && read(server, text, sizeof(text)) == 4);
	check(write(server, "answer", 6) == 6 && read(client, text, sizeof(text)) == 6);
}

int main(void)
{
	struct sockaddr_un slow, idle;
	int silent_listener = listen_at("idle", &idle), silent = connect_to(&idle);
	backlog_run(listen_at("slow", &slow), connect_to, &slow);
	check_silent(silent_listener, silent);
	survive_ok();
	return 0;
}
