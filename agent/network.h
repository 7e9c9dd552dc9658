/*
 * The job's network namespace: made by the keeper, which lives in it from then on, and what it starts too. It
 * can be locked: of TCP only criu's own packets pass. It must be while criu puts connections back: a segment for a
 * socket that is not there yet would be answered by a reset. (At a dump criu locks the connections itself,
 * and leaves them so.) One thread at a time.
 */
#pragma once

#include <stdbool.h>

#include "lib/error.h"

struct network;

/* A new one with its loopback device up and that address (NULL: none) on it; freed by network_free
 * also on failure. */
int network_enter(const char *address, struct network **network, struct error *err);
void network_free(struct network *network);

/* Both may be asked twice, and both remove the locks that criu left. */
int network_lock(struct network *network, struct error *err);
int network_unlock(struct network *network, struct error *err);

/* Has a process a TCP socket in it, connected or listening? */
bool network_has_tcp(void);
