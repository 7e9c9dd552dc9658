/* TCP connections that wait for a slow server to accept them: a move waits for that, and none is lost, nor what was
 * sent on them. */
#include "tests/survive/backlog.h"
#include "tests/survive/tcp.h"

static int connect_to(const void *address)
{
	return tcp_connect(address);
}

int main(void)
{
	struct sockaddr_in address;
	int listener = tcp_listen("127.0.0.1", &address);
	backlog_run(listener, connect_to, &address);
	survive_ok();
	return 0;
}
