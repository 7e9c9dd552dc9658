/*
 * Sees the umount. Normally libfuse's loop ends with the last umount, but any process with a mount namespace
 * of its own (a sandbox, a container) may hold a copy of ours for ever, unknowing: what counts is the mount
 * that we made.
 */
#pragma once

#include <stdbool.h>

#include "lib/error.h"

struct fuse_watch;

/* Sends SIGTERM to our own process once mountpoint is no mount of ours any more. mountpoint is borrowed. */
int fuse_watch_start(const char *mountpoint, struct fuse_watch **watch, struct error *err);
/* Whether a floatfs is mounted there, in our own mount namespace. */
bool fuse_watch_is_mounted(const char *mountpoint);
void fuse_watch_stop(struct fuse_watch *watch);
