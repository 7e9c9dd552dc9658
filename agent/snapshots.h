/*
 * A job's snapshots: each lies within the volumes themselves, beside the subvolumes that the job has mounted, where no
 * path of the job's leads. So it is taken in a moment, however much it holds, and every file keeps its inode number. At
 * the top of a volume there are, for each SUBVOLUME of it (`root` and `log` of the work volume, `data` of the others):
 *
 *     SUBVOLUME                  what the job has
 *     snapshot.SNAP.SUBVOLUME    what it had at the instant of SNAP, read-only
 *     before.SUBVOLUME           what it had when it was taken back to a snapshot, until that is known to be for good
 *
 * The caller holds the job's operation lock; everything may be asked twice.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "agent/layout.h"

/* Is it a name of a snapshot: letters, digits and `-`, at most 32? */
bool snapshots_name_ok(const char *name);

/* The tasks stand and everything that they wrote is on the volumes, which are mounted. */
int snapshots_take(struct layout *layout, const char *snap, struct error *err);
/*
 * What is to be known of it: its instant, ns of CLOCK_REALTIME, and how long each log file was then ([[generation,
 * size], …], caller puts).
 */
int snapshots_describe(struct layout *layout, const char *snap, int64_t *taken_ns, json_object **logs,
		       struct error *err);
/* It was taken of every volume. */
bool snapshots_are_complete(struct layout *layout, const char *snap);

/* The names of those on the work volume, the oldest first; caller puts. NULL when they cannot be read. */
json_object *snapshots_list(struct layout *layout);
/* Is one of the volumes, which are mounted, short of room? */
bool snapshots_room_is_short(const struct layout *layout);

/* Nothing is mounted: what the job has becomes what it had then, and what it had stays as `before`. */
int snapshots_go_back(struct layout *layout, const char *snap, struct error *err);
/* Nothing is mounted: what it had before a snapshots_go_back, if there was one. */
int snapshots_undo(struct layout *layout, struct error *err);
/* What it had before is not wanted any more: that it goes on from the snapshot is known to floatfs. */
int snapshots_forget_before(struct layout *layout, struct error *err);
/* Of the snapshots only those are wanted that keep, an array of names, has; NULL: all of them. */
int snapshots_tidy(struct layout *layout, json_object *keep, struct error *err);
