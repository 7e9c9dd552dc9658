/* A TCP connection under load between two processes loses and doubles no byte, its buffers full at the move.
 */
#include "tests/survive/tcp.h"

int main(void)
{
	int client, server;
	static unsigned block[16384];
	tcp_pair("127.0.0.1", &client, &server);
	pid_t child = fork();
	check(child >= 0);
	if (child == 0) {
		close(server);
		for (unsigned next = 0;;) {
			for (size_t i = 0; i < sizeof(block) / sizeof(*block); i++)
				block[i] = next++;
			for (size_t sent = 0; sent < sizeof(block);) {
				ssize_t length = send(client, (char *)block + sent, sizeof(block) - sent, 0);
				check(length > 0);
				sent += (size_t)length;
			}
		}
	}
	close(client);
	unsigned next = 0;
	while (survive_moved())
		for (int round = 0; round < 100; round++) {
			check(recv(server, block, sizeof(block), MSG_WAITALL) == sizeof(block));
			for (size_t i = 0; i < sizeof(block) / sizeof(*block); i++, next++)
				check(block[i] == next);
		}
	survive_kill_child(child);
	survive_ok();
	return 0;
}
