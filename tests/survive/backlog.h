/*
 * A server that is slow to accept, and a client that connects, writes and waits for its answer, again and again: at any
 * time a connection may be waiting in the listener's queue with what its client has written.
 */
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include "tests/survive/survive.h"

enum { BACKLOG_WAITS_MS = 100, BACKLOG_REST_MS = 400 };

static inline void backlog_serve(int listener)
{
	char text[16];
	for (;;) {
		struct pollfd waiting = { .fd = listener, .events = POLLIN };
		if (poll(&waiting, 1, -1) != 1)
			continue;
		survive_sleep_ms(BACKLOG_WAITS_MS);
		int server = accept(listener, NULL, NULL);
		check(server >= 0 && recv(server, text, 7, MSG_WAITALL) == 7 && !memcmp(text, "waiting", 7));
		check(send(server, "answer", 6, 0) == 6 && close(server) == 0);
	}
}

static inline void backlog_ask(int (*connect_to)(const void *), const void *address, volatile long *answers)
{
	char text[16];
	for (;; (*answers)++) {
		int client = connect_to(address);
		check(send(client, "waiting", 7, 0) == 7);
		check(recv(client, text, 6, MSG_WAITALL) == 6 && !memcmp(text, "answer", 6));
		check(close(client) == 0);
		survive_sleep_ms(BACKLOG_REST_MS);
	}
}

/* Until it was moved often enough. connect_to returns a connected socket or ends the program. */
static inline void backlog_run(int listener, int (*connect_to)(const void *), const void *address)
{
	volatile long *answers = survive_shared(sizeof(*answers));
	pid_t server = fork();
	if (server == 0)
		backlog_serve(listener);
	pid_t client = fork();
	if (client == 0)
		backlog_ask(connect_to, address, answers);
	check(server > 0 && client > 0);
	while (survive_moved()) {
		long before = *answers;
		check_soon(*answers > before + 1);
		check(waitpid(server, NULL, WNOHANG) == 0 && waitpid(client, NULL, WNOHANG) == 0);
	}
	survive_kill_child(client);
	survive_kill_child(server);
}
