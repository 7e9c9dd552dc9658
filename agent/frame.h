/*
 * A frame of the stream: one line of JSON, then data if the line has "bytes". A frame is built whole in its
 * buffer, which is used again for the next one. Not shared between threads.
 */
#pragma once

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/logdir.h"

struct frame {
	char *bytes;
	size_t length, room;
};

void frame_clear(struct frame *frame);
void frame_free(struct frame *frame);

/* Any object as a line; borrowed. */
void frame_json(struct frame *frame, json_object *object);
void frame_alive(struct frame *frame);
void frame_paused(struct frame *frame);
void frame_dumped(struct frame *frame);
/* Snapshots that made room. */
void frame_given_up(struct frame *frame, json_object *names);
void frame_exit(struct frame *frame, json_object *exit); /* borrowed */
void frame_truncated(struct frame *frame, uint64_t generation);
void frame_coming(struct frame *frame, const uint64_t *generations, size_t count);
void frame_names(struct frame *frame, const struct logdir_list *list);
struct frame_piece {
	uint64_t generation;
	int64_t offset;
	int64_t mtime_ns; /* the file is told to its end, as it was then; 0: it is not */
	bool over;        /* of what was told there before */
};
void frame_data(struct frame *frame, const struct frame_piece *piece, const void *data, size_t length);
/* All of it is as it was at that time stamp. */
void frame_settled(struct frame *frame, uint64_t generation, int64_t mtime_ns);
