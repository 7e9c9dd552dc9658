/* The agent's side of keeper.h. Any thread; each call is a connection of its own. */
#pragma once

#include <json-c/json.h>

#include "lib/error.h"

/* Start a keeper for a job's directory (it holds spec.json) unless there is one; returns when it is up. */
int keeper_start(const char *directory, struct error *err);

/*
 * One request; fields (may be NULL) is borrowed. reply may be NULL; *reply is the caller's to put. -ECONNREFUSED:
 * there is no keeper. The verb's own refusal comes back with its errno and sentence, and *reply is set then too.
 */
int keeper_call(const char *directory, const char *verb, json_object *fields, int timeout_ms,
		json_object **reply, struct error *err);

/* For the fault switch: SIGKILL. None there is nothing to do. */
void keeper_kill(const char *directory);

/* A connection on which the job's end will be told; -errno. */
int keeper_watch(const char *directory);
/* Wait on it: *exit is the caller's to put. -EPIPE: the keeper has gone. Closing it in another thread does
 * not wake. */
int keeper_wait(int fd, json_object **exit);

/* Quit, and wait until it has gone; none there is success. */
int keeper_quit(const char *directory, int timeout_ms, struct error *err);
