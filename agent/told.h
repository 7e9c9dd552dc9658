/*
 * What was told of one file's content, as sums: whether the file still holds it. The job may write over what it has
 * written. One stream's thread uses it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOLD_BLOCK = 64 << 10 };

struct told {
	int64_t offset; /* told up to here */
	/* Of its first head_length bytes. */
	uint64_t head_sum;
	size_t head_length;
	/* Of each TOLD_BLOCK bytes, as far as they are before `known`: what an earlier stream told is not. */
	uint64_t *sums;
	size_t room;
	int64_t known;
	int64_t checked; /* a check that is under way has come so far; -1: there is none */
};

/* offset: what an earlier stream has told, or 0. */
struct told told_new(int64_t offset);
void told_free(struct told *told);

/* These bytes were told, at told->offset. */
void told_add(struct told *told, const void *data, size_t length);

/* Whether the file begins with what was told. Where that is not known it is what it holds now. */
bool told_head_is_same(struct told *told, int fd);

/*
 * Check some of what was told, from told->checked on. 1: the *length bytes in block are other ones than were told at *offset, or
 * it is not known what was; they are told now. 0: no difference so far; told->checked is -1 when all is checked, or the file
 * became shorter.
 */
int told_check(struct told *told, int fd, char block[TOLD_BLOCK], int64_t *offset, size_t *length);
