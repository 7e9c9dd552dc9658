/*
 * Options of the job's sockets that criu does not carry (it carries those of SOL_SOCKET that are older, and few of TCP and
 * IP): read before the freeze, set again before the restored tasks run.
 *
 * Only what is not as in a new socket is kept: {"PID as the job knows it": {"FD": [[level, name, "value in hex"], …]}}.
 * Groups of multicast are not: sockets do not tell them. The caller is in the job's network namespace.
 */
#pragma once

#include <json-c/json.h>

/* Caller puts. What is changed between this and the freeze keeps its old value. */
json_object *sockopts_read(void);

/* With the sockets back and the tasks still standing. NULL is allowed. */
void sockopts_set(json_object *options);
