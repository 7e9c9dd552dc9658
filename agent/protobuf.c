#include "agent/protobuf.h"

#include <stdlib.h>
#include <string.h>

enum { VARINT_MAX = 10 };

static bool read_varint(struct span *span, uint64_t *value)
{
	*value = 0;
	for (int shift = 0; span->at < span->end && shift < 7 * VARINT_MAX; shift += 7) {
		unsigned char byte = *span->at++;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

bool protobuf_next(struct span *message, struct field *field)
{
	uint64_t key, length = 0;
	if (!message->at || message->at == message->end)
		return false;
	*field = (struct field){ .start = message->at };
	bool good = read_varint(message, &key);
	field->number = (unsigned)(key >> 3);
	field->wire = key & 7;
	field->bytes.at = message->at;
	if (good && field->wire == 0)
		good = read_varint(message, &field->value);
	else if (good && field->wire == 2)
		good = read_varint(message, &length);
	else
		length = field->wire == 1 ? 8 : field->wire == 5 ? 4 : UINT64_MAX;
	if (!good || length > (uint64_t)(message->end - message->at)) {
		message->at = NULL;
		return false;
	}
	if (field->wire != 0)
		field->bytes.at = message->at;
	message->at += length;
	field->bytes.end = message->at;
	return true;
}

bool protobuf_is_whole(struct span message)
{
	struct field field;
	while (protobuf_next(&message, &field))
		;
	return message.at;
}

static bool find_field(struct span message, unsigned number, struct field *field)
{
	while (protobuf_next(&message, field))
		if (field->number == number)
			return true;
	return false;
}

struct span protobuf_part(struct span message, unsigned number)
{
	struct field field;
	return find_field(message, number, &field) ? field.bytes : (struct span){ 0 };
}

uint64_t protobuf_value(struct span message, unsigned number)
{
	struct field field;
	return find_field(message, number, &field) ? field.value : 0;
}

void protobuf_put(struct buffer *buffer, const void *data, size_t length)
{
	if (length == 0)
		return;
	if (length > buffer->room - buffer->length) {
		buffer->room = 2 * (buffer->length + length);
		buffer->data = realloc(buffer->data, buffer->room);
		if (!buffer->data)
			abort();
	}
	memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
}

void protobuf_put_field(struct buffer *buffer, const struct field *field)
{
	protobuf_put(buffer, field->start, (size_t)(field->bytes.end - field->start));
}

static void put_varint(struct buffer *buffer, uint64_t value)
{
	do {
		unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		protobuf_put(buffer, &byte, 1);
		value >>= 7;
	} while (value);
}

void protobuf_put_number(struct buffer *buffer, unsigned number, uint64_t value)
{
	put_varint(buffer, number << 3);
	put_varint(buffer, value);
}

void protobuf_put_part(struct buffer *buffer, unsigned number, struct buffer *part)
{
	put_varint(buffer, number << 3 | 2);
	put_varint(buffer, part->length);
	protobuf_put(buffer, part->data, part->length);
	free(part->data);
	*part = (struct buffer){ 0 };
}
