/*
 * A job's way to the outside: eth0 in its network namespace, a veth pair whose other end is on the host, which forwards
 * and masquerades. Its rules (nftables, table `inet float_jobs`) let a job reach neither the host itself nor what is
 * on the host's own networks, where agents and floatfs are. The job's address is on its lo (network.h).
 *
 * Inside everything is the same on every host, so connections within the job survive a move. Those to the outside
 * cannot: their other end knows the old host.
 *
 * The keeper calls these, in one thread. A NULL way is that of a job which has none: nothing is to be done.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/spec.h"

struct outside;

/* In the host's namespace: make the host ready. *way is outside_free's, and NULL when the spec wants none. */
int outside_prepare(const struct spec *spec, struct outside **way, struct error *err);

/* In the job's namespace from here on: make the way. */
int outside_connect(struct outside *way, struct error *err);

/*
 * Right before the dump: close the connections to the outside (TCP; the job's next call on one fails with
 * ECONNABORTED, ENOTCONN or EPIPE) and refuse new ones (EHOSTUNREACH) until outside_open. *closed counts those that
 * the job had open.
 */
int outside_close(struct outside *way, int *closed, struct error *err);

/* Undo the refusal, if there is one. */
int outside_open(struct outside *way, struct error *err);

void outside_free(struct outside *way);

/* Is this the address (as in struct inet_diag_sockid) of a peer that the job reaches by its way out only? */
bool outside_has(const struct spec *spec, int family, const uint32_t address[4]);
