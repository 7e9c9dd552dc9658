/* The table of what can be asked (API.md): method, path, who may ask, who answers. Read-only; any thread. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "lib/error.h"

enum { ROUTE_ID_SIZE = 65 };

/* One request, as a handler sees it. All borrowed. */
struct call {
	struct agent *agent;
	const struct route *route;
	char id[ROUTE_ID_SIZE]; /* of the job, or "" */
	const char *peer;       /* common name of who asks */
	int64_t epoch;          /* -1: none was sent */
	json_object *body;      /* an object; empty when there was no body */
};

/* *answer is put by the server; NULL means {}. On failure its members are added to the refusal. */
typedef int route_handler(struct call *call, json_object **answer, struct error *err);

enum route_who {
	ROUTE_CONTROLLER, /* floatfs, once the agent is enrolled */
	ROUTE_PEER,       /* a host that jobs_peer_allowed names, too */
	ROUTE_ENROLMENT,  /* floatfs, at any time */
};

struct route {
	const char *method, *path; /* * in the path: a job's id */
	enum route_who who;
	route_handler *handler;    /* NULL: the answer is bytes of a file (jobs_read) */
	jobs_operation *operation; /* for the handler that does an operation of job.h */
	bool stream;               /* the answer is a stream; the handler only checks */
};

/* NULL: none. id has ROUTE_ID_SIZE bytes. *known: the path is there with another method. */
const struct route *routes_find(const char *method, const char *path, char *id, bool *known);

/* May the one with that certificate ask this? 0 or -EACCES. */
int routes_check_caller(const struct call *call, struct error *err);

/* HTTP status for an errno. */
int routes_http_status(int code);
