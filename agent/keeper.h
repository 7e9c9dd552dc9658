/*
 * The keeper: `float-agent keeper DIRECTORY`, one process a job. It lives in the job's network namespace, is
 * the parent of the container's first process before and after a restore, runs criu, serves the job's own
 * /float and writes how the job ended to DIRECTORY/exit. It is no child of the agent and outlives it;
 * keeper_client.h speaks to it.
 *
 * Protocol, on the unix socket DIRECTORY/keeper.sock (SOCK_SEQPACKET; only root gets at the directory): a
 * packet is one JSON object. {"do": VERB, …} is answered by {"errno": 0, …} or {"errno": N, "sentence": "…"}.
 * One request at a time is worked on, in the order of arrival.
 *
 *     state    → "pid" (0: nothing runs), "exit" when it has ended
 *     start    → "pid"                          volumes and root are mounted
 *     dump     "timeout_ms" "stays" → "freeze_ns" "closed"   tasks are gone and waited for; process volume is
 *              mounted; "closed" connections to the outside are no more, also when it is refused: none, where it
 *              "stays". EAGAIN: the job goes on, and what it was refused for passes by itself
 *     restore  "timeout_ms" "cut" → "pid" "thaw_ns" "closed"   volumes, root and process volume are mounted;
 *              "cut": connections to the outside are closed
 *     signal   "signal"                         to the script
 *     stop     "grace_ms"                       SIGTERM to the script's group, SIGKILL to all after that
 *     kill     everything of the job; answered when it is gone (its end is recorded)
 *     watch    nothing until the job has ended: then {"exit": {…}}
 *     quit     kill, then the keeper itself ends: the answer is the end of the connection
 *
 * One thread, but for jobfs's own. SIGCHLD arrives by signalfd.
 */
#pragma once

/* keeper_main: agent/job.h. The answer to "are you up" goes to standard output, as one JSON object. */

#define KEEPER_SOCKET "keeper.sock"

/*
 * Locked (flock) from before the keeper is forked until it has gone: the descriptor that holds the lock is handed on
 * to it as KEEPER_LOCK_FD. So there is never a second keeper of a job, also where the agent that started one was
 * killed before it was up.
 */
#define KEEPER_LOCK "keeper.lock"

enum { KEEPER_LOCK_FD = 3 };

enum { KEEPER_PACKET_MAX = 128 << 10 };
