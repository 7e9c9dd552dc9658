#include "agent/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/json.h"

void frame_clear(struct frame *frame)
{
	frame->length = 0;
}

void frame_free(struct frame *frame)
{
	free(frame->bytes);
	*frame = (struct frame){ 0 };
}

static void append(struct frame *frame, const void *data, size_t length)
{
	if (frame->room - frame->length < length) {
		size_t room = frame->length + length + 4096;
		char *larger = realloc(frame->bytes, room);
		if (!larger)
			abort();
		frame->bytes = larger;
		frame->room = room;
	}
	memcpy(frame->bytes + frame->length, data, length);
	frame->length += length;
}

void frame_json(struct frame *frame, json_object *object)
{
	size_t length;
	const char *text = json_object_to_json_string_length(
	    object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
	frame_clear(frame);
	append(frame, text, length);
	append(frame, "\n", 1);
}

void frame_alive(struct frame *frame)
{
	frame_clear(frame);
	append(frame, "{}\n", 3);
}

void frame_paused(struct frame *frame)
{
	static const char text[] = "{\"paused\":true}\n";
	frame_clear(frame);
	append(frame, text, sizeof(text) - 1);
}

void frame_dumped(struct frame *frame)
{
	static const char text[] = "{\"dumped\":true}\n";
	frame_clear(frame);
	append(frame, text, sizeof(text) - 1);
}

void frame_given_up(struct frame *frame, json_object *names)
{
	autojson json_object *line = json_object_new_object();
	json_object_object_add(line, "given_up", json_object_get(names));
	frame_json(frame, line);
}

void frame_exit(struct frame *frame, json_object *exit)
{
	autojson json_object *line = json_object_new_object();
	json_object_object_add(line, "exit", json_object_get(exit));
	frame_json(frame, line);
}

void frame_truncated(struct frame *frame, uint64_t generation)
{
	char text[80];
	int length = snprintf(text, sizeof(text), "{\"truncated\":%" PRIu64 ",\"size\":0}\n", generation);
	frame_clear(frame);
	append(frame, text, (size_t)length);
}

void frame_coming(struct frame *frame, const uint64_t *generations, size_t count)
{
	autojson json_object *line = json_object_new_object();
	json_object *array = json_object_new_array();
	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, json_object_new_uint64(generations[i]));
	json_object_object_add(line, "coming", array);
	frame_json(frame, line);
}

void frame_names(struct frame *frame, const struct logdir_list *list)
{
	static const char *const types[] = { "file", "directory", "link" };
	autojson json_object *line = json_object_new_object();
	json_object *names = json_object_new_array_ext((int)(list->count ? list->count : 1));
	for (size_t i = 0; i < list->count; i++) {
		const struct logdir_entry *entry = &list->entries[i];
		json_object *name = json_object_new_object();
		json_set_string(name, "path", entry->name);
		json_object_object_add(name, "generation", json_object_new_uint64(entry->generation));
		json_set_string(name, "type", types[entry->type]);
		json_set_int(name, "mode", entry->mode);
		json_set_int(name, "size", entry->size);
		json_set_int(name, "mtime_ns", entry->mtime_ns);
		if (entry->target)
			json_set_string(name, "target", entry->target);
		json_object_array_add(names, name);
	}
	json_object_object_add(line, "names", names);
	frame_json(frame, line);
}

void frame_settled(struct frame *frame, uint64_t generation, int64_t mtime_ns)
{
	char text[120];
	int used = snprintf(text, sizeof(text), "{\"settled\":%" PRIu64 ",\"mtime_ns\":%" PRId64 "}\n",
			    generation, mtime_ns);
	frame_clear(frame);
	append(frame, text, (size_t)used);
}

void frame_data(struct frame *frame, const struct frame_piece *piece, const void *data, size_t length)
{
	char text[200], mtime[48] = "";
	if (piece->mtime_ns)
		snprintf(mtime, sizeof(mtime), ",\"mtime_ns\":%" PRId64, piece->mtime_ns);
	int used = snprintf(
	    text, sizeof(text), "{\"generation\":%" PRIu64 ",\"offset\":%" PRId64 ",\"bytes\":%zu%s%s}\n",
	    piece->generation, piece->offset, length, mtime, piece->over ? ",\"over\":true" : "");
	frame_clear(frame);
	append(frame, text, (size_t)used);
	append(frame, data, length);
}
