#include "fs/frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/json.h"

enum { LINE_LIMIT = 8 << 20 };

/* The line is whole. */
static int take_line(struct frames *frames, struct error *err)
{
	autojson json_object *frame = NULL;
	int status = json_parse_object(frames->line, frames->length, &frame, err);
	frames->length = 0;
	if (status < 0)
		return status;
	int64_t bytes = json_get_int(frame, "bytes", 0);
	if (bytes == 0)
		return frames->taker->frame(frames->context, frame);
	int64_t generation = json_get_int(frame, "generation", 0), offset = json_get_int(frame, "offset", 0);
	if (bytes < 0 || generation < 1 || offset < 0 || bytes > INT64_MAX - offset)
		return error_set(err, EBADMSG, "its data belongs nowhere");
	frames->data = (struct frames_data){ .generation = (uint64_t)generation,
					     .offset = offset,
					     .left = (size_t)bytes,
					     .over = json_get_bool(frame, "over", false),
					     .mtime_ns = json_get_int(frame, "mtime_ns", 0) };
	return 0;
}

/* Bytes of the line up to its newline. */
static int gather_line(struct frames *frames, const char *bytes, size_t length, size_t *used,
		       struct error *err)
{
	const char *newline = memchr(bytes, '\n', length);
	size_t more = newline ? (size_t)(newline - bytes) : length;
	*used = newline ? more + 1 : more;
	if (more > LINE_LIMIT - frames->length)
		return error_set(err, EFBIG, "its line is longer than %d MiB", LINE_LIMIT >> 20);
	if (frames->length + more + 1 > frames->room) {
		size_t room = frames->length + more + 4096;
		char *larger = realloc(frames->line, room);
		if (!larger)
			return error_set(err, ENOMEM, "out of memory");
		frames->line = larger;
		frames->room = room;
	}
	memcpy(frames->line + frames->length, bytes, more);
	frames->length += more;
	return newline ? take_line(frames, err) : 0;
}

static int pass_data(struct frames *frames, const char *bytes, size_t length, size_t *used)
{
	struct frames_data *data = &frames->data;
	*used = length < data->left ? length : data->left;
	int status = frames->taker->data(frames->context, data, bytes, *used);
	data->offset += (int64_t)*used;
	data->left -= *used;
	return status;
}

int frames_take(struct frames *frames, const void *bytes, size_t length, struct error *err)
{
	const char *at = bytes;
	while (length > 0) {
		size_t used = 0;
		int status = frames->data.left ? pass_data(frames, at, length, &used)
					       : gather_line(frames, at, length, &used, err);
		if (status)
			return status;
		at += used;
		length -= used;
	}
	return 0;
}

void frames_reset(struct frames *frames)
{
	frames->length = 0;
	frames->data = (struct frames_data){ 0 };
}

void frames_free(struct frames *frames)
{
	free(frames->line);
	frames->line = NULL;
	frames->room = frames->length = 0;
}

/* What the job ran into, if its agent says so. */
static void describe_limits(json_object *exit, char *note, size_t size)
{
	static const struct {
		const char *key, *words;
	} limits[] = {
		{ "oom", "out of memory" },
		{ "pids", "no more processes allowed" },
	};
	json_object *full = json_get_array(exit, "full");
	size_t used = 0;
	*note = '\0';
	for (size_t i = 0; i < array_length(limits); i++)
		if (json_get_bool(exit, limits[i].key, false))
			used += (size_t)snprintf(note + used, size - used, ", %s", limits[i].words);
	for (size_t i = 0; full && i < json_object_array_length(full) && used < size; i++) {
		const char *place = json_object_get_string(json_object_array_get_idx(full, i));
		used += (size_t)snprintf(note + used, size - used, ", %.100s is full", place ? place : "");
	}
}

void frames_read_exit(json_object *exit, struct frames_exit *end)
{
	end->code = (int)(json_get_int(exit, "code", 0) & 0xff);
	end->signal = (int)(json_get_int(exit, "signal", 0) & 0x7f);
	end->lost = json_get_bool(exit, "lost", false);
	describe_limits(exit, end->note, sizeof(end->note));
}
