/*
 * The subvolumes at the top of a volume's btrfs. The top is mounted where no path leads, as a descriptor: an agent that
 * is killed leaves nothing mounted, and the subvolumes that a job has mounted are not disturbed (btrfs(5): mounts of
 * one device are of one file system). Any thread; one thread a volume at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

/* The top of the volume of a serial, waited for: *top is the caller's to close. */
int subvolume_open_top(const char *serial, int timeout_ms, int *top, struct error *err);

bool subvolume_exists(int top, const char *name);
/* When it was made: ns of CLOCK_REALTIME; 0: that is not known. */
int64_t subvolume_made_ns(int subvolume);
/* There already is success. */
int subvolume_make(int top, const char *name, struct error *err);
/* A snapshot of `from`, of this instant. */
int subvolume_snapshot(int top, const char *from, const char *name, bool read_only, struct error *err);
/* Not there is success. Its blocks are given back by and by. */
int subvolume_destroy(int top, const char *name, struct error *err);
/* The blocks of what was destroyed are given back soon, not at the next commit. */
void subvolume_hurry(int top);
/* Nothing has the new name. */
int subvolume_rename(int top, const char *from, const char *to, struct error *err);
