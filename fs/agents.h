/* Calls to the agents (agent/API.md). They block: never with fs->lock held. */
#pragma once

#include <json-c/json.h>

#include "fs/fs.h"
#include "lib/http.h"

enum { AGENT_PORT = 7433 };

/* What the cloud hands to a new host: API.md, Enrolment. Caller puts. */
json_object *agents_enrolment(struct floatfs *fs, const char *secret);

struct agents_wait {
	int64_t timeout_ms;
	/* Called between the tries; what it returns but 0 ends them. */
	int (*check)(void *context, struct error *err);
	void *context;
};

/*
 * Wait until the agent of a new host answers, check its proof, give it its certificate, and see that it takes
 * it. Twice is success. -ETIMEDOUT after that time.
 */
int agents_enrol(struct floatfs *fs, const char *host, const char *address, const char *secret,
		 const struct agents_wait *wait, struct error *err);

/* A connection of the caller's own; http_client_free. */
struct http_client *agents_connect(struct floatfs *fs, const char *host, const char *address);

/*
 * One POST (body NULL: GET) of /v1/jobs/ID/verb, on a connection made for it. verb "" is the job itself.
 * request_id may be NULL; answer too.
 */
int agents_call(struct floatfs *fs, const char *host, const char *address, const char *job, const char *verb,
		json_object *body, int64_t epoch, const char *request_id, int timeout_ms,
		json_object **answer, struct error *err);

/* Its clock less ours, in ns: 0 where the difference is smaller than what the request took. */
int agents_clock_offset(struct floatfs *fs, const char *host, const char *address, int64_t *offset_ns,
			struct error *err);
