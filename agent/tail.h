/*
 * What one stream has told of a log directory, and what it has to tell next: names, data, truncations. It
 * pulls: each call looks at the directory and makes at most one frame, so that a slow reader makes the stream
 * wait and nothing else.
 *
 * A file is known by its generation (inode number). A generation that is in no name any more is forgotten, by
 * both sides: when a name of it comes back, it is told again from offset 0.
 * Names are told when all that their scan saw in the files is: who sees a name sees what the file held when it was named so.
 * Appending is told as it is. When a file got smaller, or its first bytes are no longer those that were told
 * (it was truncated and written again between two looks), it is told as truncated and again from 0. When its time
 * stamp changes and it does not grow, it is compared with what was told of it (agent/told.h), and what it has been written over
 * with is told. Not thread-safe: one stream's thread uses it.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/frame.h"

struct tail;

enum { TAIL_BURST = 64 << 10 };

/* have: [[generation, size, time stamp], …] of the stream's request, or NULL; borrowed. */
struct tail *tail_new(json_object *have);
void tail_free(struct tail *tail);

/*
 * 1: a frame was made. 0: nothing to tell now; when *again_ms is not 0, look again after so long (a large
 * directory is not walked all the time). scan: something may have changed since the last look. root is from
 * logdir_open; once *stop is true it returns soon with -ECANCELED. -ENOENT and the like: the directory cannot
 * be read.
 */
int tail_next(struct tail *tail, int root, const bool *stop, bool scan, struct frame *frame, int *again_ms);

/* The job writes no more: compare once more what was written over, and at once. Or it does again. */
void tail_look_last(struct tail *tail, bool last);
