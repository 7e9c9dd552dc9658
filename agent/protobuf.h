/*
 * Protobuf messages as they are encoded, in memory: their fields, read in their order, and new ones put together. What is read
 * may be anything. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	unsigned char *at, *end;
};

struct field {
	unsigned number, wire;
	unsigned char *start;
	uint64_t value;    /* of a varint */
	struct span bytes; /* of the value as it is encoded; without the length of a message */
};

/* False at the end; at is NULL then if it came too early. */
bool protobuf_next(struct span *message, struct field *field);
/* Can all of its fields be read? */
bool protobuf_is_whole(struct span message);
/* The first field of that number: its value, 0 where there is none; its message, empty where there is none. */
uint64_t protobuf_value(struct span message, unsigned number);
struct span protobuf_part(struct span message, unsigned number);

/* What is put together; free data. It grows as it must, and aborts when memory is out. */
struct buffer {
	unsigned char *data;
	size_t length, room;
};

void protobuf_put(struct buffer *buffer, const void *data, size_t length);
/* A field as it is. */
void protobuf_put_field(struct buffer *buffer, const struct field *field);
void protobuf_put_number(struct buffer *buffer, unsigned number, uint64_t value);
/* A message as a field of that number; frees it. */
void protobuf_put_part(struct buffer *buffer, unsigned number, struct buffer *part);
