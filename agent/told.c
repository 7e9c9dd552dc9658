#include "agent/told.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD_SIZE = 4096, BLOCKS_A_CHECK = 16 };

/* splitmix64 of the word's number; odd. */
static uint64_t multiplier(uint64_t number)
{
	uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15;
	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
	return (mixed ^ (mixed >> 31)) | 1;
}

/* The words of the file, each times a number of its own: sums of adjoining pieces add up to that of the whole. */
static uint64_t sum_of(int64_t offset, const void *data, size_t length)
{
	const unsigned char *at = data;
	uint64_t sum = 0;
	while (length > 0) {
		size_t begin = (size_t)offset % sizeof(uint64_t),
		       take = length < sizeof(uint64_t) - begin ? length : sizeof(uint64_t) - begin;
		uint64_t word = 0;
		memcpy((unsigned char *)&word + begin, at, take);
		sum += word * multiplier((uint64_t)offset / sizeof(uint64_t));
		at += take;
		offset += (int64_t)take;
		length -= take;
	}
	return sum;
}

struct told told_new(int64_t offset)
{
	return (struct told){ .offset = offset, .checked = -1 };
}

void told_free(struct told *told)
{
	free(told->sums);
	*told = told_new(0);
}

static uint64_t *sum_at(struct told *told, int64_t offset)
{
	size_t block = (size_t)(offset / TOLD_BLOCK);
	if (block >= told->room) {
		size_t room = 2 * told->room + 1 > block ? 2 * told->room + 1 : block + 1;
		told->sums = reallocarray(told->sums, room, sizeof(*told->sums));
		if (!told->sums)
			abort();
		told->room = room;
	}
	if (offset % TOLD_BLOCK == 0)
		told->sums[block] = 0;
	return &told->sums[block];
}

static void add_head(struct told *told, const void *data, size_t length)
{
	if (told->offset != (int64_t)told->head_length || told->head_length == HEAD_SIZE)
		return;
	size_t more = HEAD_SIZE - told->head_length < length ? HEAD_SIZE - told->head_length : length;
	told->head_sum += sum_of(told->offset, data, more);
	told->head_length += more;
}

void told_add(struct told *told, const void *data, size_t length)
{
	const char *at = data;
	add_head(told, data, length);
	while (length > 0) {
		size_t left = (size_t)(TOLD_BLOCK - told->offset % TOLD_BLOCK),
		       take = length < left ? length : left;
		if (told->known == told->offset) {
			*sum_at(told, told->offset) += sum_of(told->offset, at, take);
			told->known += (int64_t)take;
		}
		at += take;
		told->offset += (int64_t)take;
		length -= take;
	}
}

bool told_head_is_same(struct told *told, int fd)
{
	unsigned char head[HEAD_SIZE];
	size_t wanted = told->head_length;
	if (wanted == 0)
		wanted = told->offset < HEAD_SIZE ? (size_t)told->offset : HEAD_SIZE;
	if (wanted == 0)
		return true;
	/* What cannot be read, or not all of it, is left to the next look. */
	ssize_t got = pread(fd, head, wanted, 0);
	if (got != (ssize_t)wanted)
		return got < 0;
	uint64_t sum = sum_of(0, head, wanted);
	if (told->head_length == 0) {
		told->head_length = wanted;
		told->head_sum = sum;
	}
	return sum == told->head_sum;
}

int told_check(struct told *told, int fd, char block[TOLD_BLOCK], int64_t *offset, size_t *length)
{
	for (int left = BLOCKS_A_CHECK; told->checked < told->offset; left--) {
		int64_t at = told->checked,
			end = told->offset - at > TOLD_BLOCK ? at + TOLD_BLOCK : told->offset;
		if (left == 0)
			return 0;
		if (pread(fd, block, (size_t)(end - at), at) != end - at)
			break;
		uint64_t sum = sum_of(at, block, (size_t)(end - at));
		told->checked = end;
		if (end <= told->known && told->sums[at / TOLD_BLOCK] == sum)
			continue;
		*sum_at(told, at) = sum;
		if (told->known < end)
			told->known = end;
		*offset = at;
		*length = (size_t)(end - at);
		return 1;
	}
	told->checked = -1;
	return 0;
}
