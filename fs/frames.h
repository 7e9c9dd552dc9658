/*
 * The frames of an agent's stream (agent/API.md), out of its bytes as they come, in whatever pieces: lines of JSON, a line
 * with "bytes" followed by so many of them. Nothing that an agent sends is trusted: a frame that is wrong is refused, and
 * the stream with it. One thread uses a reader.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/* Where in a file the data belongs that a frame brings. */
struct frames_data {
	uint64_t generation;
	int64_t offset;   /* of the piece at hand */
	size_t left;      /* of the frame, with this piece */
	bool over;        /* of what is there already */
	int64_t mtime_ns; /* after the frame the file is whole, as of this time stamp; 0: it is not */
};

/* What is done with them; borrowed is what they are given. Anything but 0 ends frames_take, which returns it. */
struct frames_taker {
	int (*frame)(void *context, json_object *frame); /* one without data */
	int (*data)(void *context, const struct frames_data *at, const void *bytes, size_t length);
};

/* All zero but taker and context: at the beginning of a stream. */
struct frames {
	const struct frames_taker *taker;
	void *context;
	char *line; /* of the frame that is arriving, so far */
	size_t length, room;
	struct frames_data data;
};

/* -EBADMSG or -EFBIG with the sentence: the stream is of no use any more. */
int frames_take(struct frames *frames, const void *bytes, size_t length, struct error *err);

/* A new stream begins. */
void frames_reset(struct frames *frames);
void frames_free(struct frames *frames);

/* "exit": how the job ended. */
struct frames_exit {
	int code, signal;
	bool lost;      /* nobody knows: its host could not keep it */
	char note[256]; /* what it ran into, as words that follow a comma; or "" */
};

void frames_read_exit(json_object *exit, struct frames_exit *end);
