/*
 * The criu program: the command lines of dump and restore and their time limits. The keeper calls dump and restore (it is the parent of what is restored, and lives in the
 * job's network namespace); they block until criu has ended.
 */
#pragma once

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/layout.h"
#include "agent/network.h"
#include "agent/waits.h"

/*
 * Freeze the tree of pid and write it to DIRECTORY/process/image/, made fresh. On success the tasks are dead,
 * not yet waited for. On failure criu has let them go on; -EAGAIN says that the reason passes by itself, and that it
 * may be tried again; -EOWNERDEAD that criu was cut off and some of them are dead. *freeze_ns is the moment before criu was started. waits is watched meanwhile.
 */
int criu_dump(const struct layout *layout, struct network *network, struct waits *waits, pid_t pid,
	      int timeout_ms, int64_t *freeze_ns, struct error *err);

/*
 * Restore from there into DIRECTORY/root, as a child of the caller. *thaw_ns is the moment when criu had
 * done; socket_options are set and the network is unlocked just before the tasks run. once: the image is
 * spent by it (spent.h). On failure nothing of it is left running.
 */
int criu_restore(const struct layout *layout, struct network *network, json_object *socket_options, bool once,
		 int timeout_ms, pid_t *pid, int64_t *thaw_ns, struct error *err);

/* What criu needs to find on the host, before the first job is frozen. The caller has a loopback device that
 * is up. */
void criu_prepare_host(void);
