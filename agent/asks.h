/*
 * What a job asks on its own /float and only the controller can answer. The job's keeper (jobfs) connects to
 * DIRECTORY/ask.sock and sends lines of JSON: {"ask": N, "uid", "op", "name", "data", …}. Each becomes a
 * frame of the job's stream under a number of the agent's own; the controller's answer to that number goes
 * back as a line
 * {"ask": N, "errno", "data"}. Unanswered after ASKS_TIMEOUT_MS: EIO.
 *
 * Any thread may call these; one thread of its own listens and reads. One mutex guards everything.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

struct asks;

enum { ASKS_TIMEOUT_MS = 30000 };

/* ring is called without a lock when a job has asked something. */
struct asks *asks_start(void (*ring)(void *context, const char *id), void *context, struct error *err);
void asks_stop(struct asks *asks);

/* Listen on DIRECTORY/ask.sock. Twice is success; a failure is logged (the job's controls then answer EIO).
 */
void asks_open(struct asks *asks, const char *id, const char *directory);
void asks_close(struct asks *asks, const char *id);

/*
 * The next frame that a stream has not been given: *frame is the caller's to put. Each stream has a number;
 * what an earlier stream was given and nobody has answered is given again to a later one.
 */
bool asks_take(struct asks *asks, const char *id, uint64_t stream, json_object **frame);

/* The controller's answer: {"ask", "errno", "data" or "size"}. -ENOENT: nobody waits for it (any more). */
int asks_answer(struct asks *asks, const char *id, json_object *answer, struct error *err);
