/*
 * X-Float-Request: the first answer to a request is kept in a directory, so that the same request, repeated,
 * gets it again, also from an agent that was started anew. While the first is still at work a repetition
 * waits for it. A request that died with its agent left no answer: it is done again (every operation may be).
 *
 * Any thread may call these. One mutex guards the list of requests under way.
 */
#pragma once

#include <stdbool.h>

#include "lib/error.h"

struct requests;

/* directory is made when it is not there; copied. */
struct requests *requests_new(const char *directory, struct error *err);
void requests_free(struct requests *requests);

/* [A-Za-z0-9._-]{1,64}, not beginning with a dot. */
bool requests_valid_id(const char *id);

/*
 * what is method and path: the same id for something else is -EINVAL. 1: answered before, *status and *body
 * (caller frees) are that answer. 0: it is the caller's to do, and requests_end must follow.
 */
int requests_begin(struct requests *requests, const char *id, const char *what, int *status, char **body,
		   struct error *err);
void requests_end(struct requests *requests, const char *id, const char *what, int status, const char *body);
