/* Listening TCP sockets, on all addresses and on the job's own, IPv4 and IPv6, take connections. */
#include "tests/survive/tcp.h"

int main(void)
{
	struct sockaddr_in any, own;
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
	int on_any = tcp_listen("0.0.0.0", &any), on_own = tcp_listen(tcp_own_host(), &own);
	int on_six = socket(AF_INET6, SOCK_STREAM, 0);
	socklen_t length = sizeof(six);
	check(on_six < 0 || (!bind(on_six, (struct sockaddr *)&six, sizeof(six)) && !listen(on_six, 5) &&
			     !getsockname(on_six, (struct sockaddr *)&six, &length)));
	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	struct sockaddr_in by_four = any;
	by_four.sin_port = six.sin6_port;
	while (survive_moved()) {
		const struct sockaddr_in *addresses[] = { &any, &own, &by_four };
		const int listeners[] = { on_any, on_own, on_six };
		for (int i = 0; i < (on_six < 0 ? 2 : 3); i++) {
			char text[16];
			int client = tcp_connect(addresses[i]), server = accept(listeners[i], NULL, NULL);
			check(server >= 0 && send(client, "hello", 5, 0) == 5);
			check(recv(server, text, sizeof(text), 0) == 5 && !close(client) && !close(server));
		}
	}
	survive_ok();
	return 0;
}
