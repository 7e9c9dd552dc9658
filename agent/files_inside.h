/* What files.c (what is asked) and files_volumes.c (where it is) share; nobody else includes this. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "agent/files.h"

enum {
	FILES_WORK = 0, /* the volume with the job's root; data volume N is N + 1 */
	FILES_MADE =
	    31, /* no volume: the directories on the way to a mount point that are only in the image */
};

struct files_place {
	int volume;
	uint64_t inode; /* of FILES_MADE: a number of its own, from 1 */
};

struct files_volume {
	int fd; /* its root directory */
	dev_t device;
	uint64_t subvolume;
};

/* A name that stands in a directory whatever the volume has there. */
struct files_row {
	struct files_place parent;
	char *name;
	struct files_place child;
};

struct files {
	size_t volume_count;
	struct files_volume volumes[1 + SPEC_DATA_MAX];
	struct files_place top; /* what {0, 0} means */
	struct files_row *rows;
	size_t row_count, made_count;
};

static inline bool files_same_place(struct files_place one, struct files_place other)
{
	return one.volume == other.volume && one.inode == other.inode;
}

/* NULL: none. */
const struct files_row *files_find_row(const struct files *files, struct files_place parent,
				       const char *name);

/* A descriptor of a place that is on a volume, or -errno; caller closes. */
int files_open_inode(const struct files *files, struct files_place place, int flags);
/* O_PATH, whatever it is, and what it is. -ENOTDIR of a made one. */
int files_open_place(const struct files *files, struct files_place place, struct stat *st);
