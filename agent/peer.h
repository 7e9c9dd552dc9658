/*
 * Asking another agent: the hand-over of a job (float on A asks B to adopt). The connection is made before
 * the freeze and kept for the one request inside it. Any thread may call these; one mutex guards the list of
 * warm connections.
 */
#pragma once

#include <json-c/json.h>
#include <stdint.h>

#include "agent/enrol.h"
#include "lib/error.h"

struct peers;

struct peers *peers_new(struct enrol *enrol);
void peers_free(struct peers *peers);

/* Connect to `to` ({"host", "address", "port"}) for this job; one that is warm already is used again. */
int peers_warm(struct peers *peers, json_object *to, const char *id, struct error *err);
/* As jobs_hooks.adopt_peer. */
int peers_adopt(struct peers *peers, json_object *to, const char *id, int64_t epoch, json_object *body,
		json_object **answer, struct error *err);
/* The job needs its connection no more. */
void peers_forget(struct peers *peers, const char *id);
