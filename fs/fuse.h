/* The mount: libfuse's low-level requests answered from the tree. How it outlives a floatfs: holder.h. */
#pragma once

#include <stdbool.h>

#include "fs/fs.h"

struct fuse_mount;

enum { FUSE_READAHEAD = 4 << 20 }; /* of what the kernel keeps: files */

/* SIGTERM, SIGINT and SIGHUP are for the main thread, while it serves. */
void fuse_mount_block_signals(void);

/* Finds the mount that a floatfs of this state left, and its holder, or starts a holder. Before other threads run. */
int fuse_mount_prepare(struct floatfs *fs, struct fuse_mount **mount, struct error *err);
/* Takes that mount over, or mounts; a dead daemon's stale mount is cleared first. From then on requests wait. */
int fuse_mount_open(struct fuse_mount *mount, struct error *err);
/*
 * Serve until umount, SIGTERM or SIGINT; or SIGHUP: then fs->leaving is set, and the mount is to be left to the floatfs that
 * is executed next. Signals are blocked before and after.
 */
int fuse_mount_serve(struct fuse_mount *mount, struct error *err);
/* Unmounts, unless fs->leaving. */
void fuse_mount_close(struct fuse_mount *mount);
