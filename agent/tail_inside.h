/* Within agent/tail*.c. */
#pragma once

#include "agent/logdir.h"
#include "agent/tail.h"
#include "agent/told.h"

struct tail_file {
	uint64_t generation;
	struct told told;
	int64_t mtime_ns; /* when it was last told to its end */
	/* Of the last looks that found more of it, one after the other: it was so long, since then with that time stamp. */
	int64_t size, size_mtime_ns;
	size_t entry; /* one of its names in known */
	int64_t due;  /* told at least so far before the names are */
	/* It was written without growing: it is to be compared, since and not before these moments of the monotonic clock. */
	bool suspect;
	int64_t suspect_ns, check_ns, check_began_ns;
	int64_t check_mtime_ns; /* when the check began */
	int64_t again_ns;       /* no look before; of the same clock */
	bool differed;          /* the check that is under way has found that */
	/* A check has: it is compared once more at the end, for writes through a mapping. */
	bool written_over;
	bool behind; /* has to be looked at */
	bool looked; /* was, since the last scan */
	bool unsettled;
	bool announced; /* the other side takes its data */
};

struct tail {
	struct logdir_list known;
	struct tail_file *files; /* sorted by generation */
	size_t count, next;
	struct tail_file *have; /* what the other side said, sorted; until the first look */
	size_t have_count;
	bool due, named, cut_told, last;
	bool held; /* the names of `known` are still to be told, once the data is */
	/* And a file had another name when it was looked at: they are those of another scan then. */
	bool lost;
	int64_t scan_at_ns;
	char burst[TAIL_BURST];
};

/*
 * One look at one file: 1 with a frame, 0 when it is told to its end, or again_ns says when it is to be looked at again. root is
 * the log directory.
 */
int tail_look_at(struct tail *tail, struct tail_file *file, int root, struct frame *frame);
