/*
 * The HTTPS server (libmicrohttpd, a thread a connection). In the handshake the client has to show a
 * certificate that enrol.h believes: one without gets no HTTP answer at all. Then the route table.
 */
#pragma once

#include "agent/agent.h"
#include "lib/error.h"

struct server;

/* Listens on every address of the host. agent is borrowed until server_stop. */
struct server *server_start(struct agent *agent, int port, struct error *err);
/* Waits for requests under way; streams must have been ended before. */
void server_stop(struct server *server);
