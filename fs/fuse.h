/* The mount: libfuse's low-level requests answered from the tree. */
#pragma once

#include "fs/fs.h"

struct fuse_mount;

/* Mounts; a dead daemon's stale mount is cleared first. */
int fuse_mount_open(struct floatfs *fs, struct fuse_mount **mount, struct error *err);
/* Serve until umount, SIGTERM, SIGINT or SIGHUP. */
int fuse_mount_serve(struct fuse_mount *mount, struct error *err);
/* What libfuse's requests carry as their user data is a mount. */
struct floatfs *fuse_mount_fs(struct fuse_mount *mount);
void fuse_mount_close(struct fuse_mount *mount);
