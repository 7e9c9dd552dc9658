/* The names that an agent tells of a log directory, and the numbers that come before them. Not locked. */
#pragma once

#include <json-c/json.h>

#include "fs/mirror.h"

/* Generations from here on are ours: what was cut off. No volume gets to such an inode number. */
#define MIRROR_LOST_FIRST 0xf0000000ULL

extern const char *const mirror_type_names[]; /* by enum mirror_type, as agents tell them */

struct mirror_names {
	struct mirror_entry *entries; /* by path */
	struct mirror_entry **by_generation;
	size_t count;
};

/* Files without a name yet, ascending. */
struct mirror_coming {
	uint64_t *generations;
	size_t count;
};

/* Files that somebody has open. */
struct mirror_holds {
	struct mirror_hold *holds;
	size_t count, room;
};

struct mirror_hold {
	uint64_t generation;
	unsigned users;
	bool nameless;             /* no name leads to it any more: it goes with its last user */
	struct mirror_entry entry; /* of when it lost its name */
};

/* Names that the mirror cannot show (too long, or a device, say) are left out; they stay on the volume. -EFBIG, -ENOMEM. */
int mirror_names_parse(json_object *array, struct mirror_names *names);
void mirror_names_clear(struct mirror_names *names);
/* NULL: none; else borrowed. */
struct mirror_entry *mirror_names_find(const struct mirror_names *names, const char *path);
struct mirror_entry *mirror_names_find_generation(const struct mirror_names *names, uint64_t generation);

/* Those of before, and those of the array that can be; the caller frees coming->generations. -EFBIG, -ENOMEM. */
int mirror_coming_add(json_object *array, const struct mirror_coming *before, struct mirror_coming *coming);
bool mirror_coming_has(const struct mirror_coming *coming, uint64_t generation);

/* NULL: nobody has it open; else borrowed, until something is added or removed. */
struct mirror_hold *mirror_holds_find(const struct mirror_holds *holds, uint64_t generation);
void mirror_holds_add(struct mirror_holds *holds, uint64_t generation);
/* One user less. Whether the last one of a nameless file went: its content is to be deleted. */
bool mirror_holds_drop(struct mirror_holds *holds, uint64_t generation);
