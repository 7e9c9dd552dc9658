/*
 * Options of the job's sockets that criu does not carry (it carries those of SOL_SOCKET that are older, and few of TCP and
 * IP): read before the freeze, set again before the restored tasks run.
 *
 * Only what is not as in a new socket is kept: {"PID as the job knows it": {"FD": [[level, name, "value in hex"], …]}}.
 * Groups of multicast are not: sockets do not tell them. The caller is in the job's network namespace.
 *
 * Connections that are given up after a while without an answer are told not to: nothing answers while the job stands, and
 * that may be for longer.
 */
#pragma once

#include <json-c/json.h>

/* What is changed between this and the freeze keeps its old value. The caller's, with sockopts_free. */
struct sockopts *sockopts_read(void);
void sockopts_free(struct sockopts *sockopts);
/* What sockopts_set takes; borrowed. */
json_object *sockopts_json(struct sockopts *sockopts);
/* The job goes on here as if nothing had been: sockets that it still has give up again. */
void sockopts_put_back(struct sockopts *sockopts);

/* With the sockets back and the tasks still standing. NULL is allowed. */
void sockopts_set(json_object *options);
