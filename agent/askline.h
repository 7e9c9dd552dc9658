/*
 * The keeper's end of ask.sock: requests to the controller and their answers, without waiting. The agent may
 * be away for a while: requests are sent (again) when it is back, and fail after a time. Not thread-safe: the
 * owner calls it with its own lock held.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct askline;

/* code: 0 or an errno; data (NUL-terminated, "" when there is none) is borrowed. Called once for each
 * request. */
typedef void askline_answer(void *context, void *request, int code, const char *data, size_t length);

/* path is copied; the socket need not be there. */
struct askline *askline_new(const char *path, askline_answer *answer, void *context);
/* Requests that wait get EIO. */
void askline_free(struct askline *line);

/* question: {"op", "uid", "name", …}, taken over. timeout_ms 0: the usual. The answer may come before this
 * returns. */
void askline_ask(struct askline *line, json_object *question, void *request, int timeout_ms);
/* Its answer is not wanted any more; the callback does not come. */
void askline_forget(struct askline *line, void *request);

/* To wait on with POLLIN (-1: none), and how long at most (-1: for ever). */
int askline_fd(const struct askline *line);
int askline_timeout_ms(const struct askline *line);
/* After waiting: reads, connects again, ends what took too long. */
void askline_work(struct askline *line);
