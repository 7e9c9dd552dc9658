/*
 * Log files that no longer change, read past floatfs: the kernel reads the mirror's file itself (FUSE_PASSTHROUGH, Linux 6.9,
 * fs/fuse/passthrough.c), as fast as any. The kernel allows one way of reading a file at a time: while somebody has it open in
 * another way, who opens it next is served so too, or is refused with EIO. So all opens of log files are counted, in the
 * page that outlives floatfs (holder.h). Any thread may call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/holder.h"

struct fuse_through;

/* device: of the mount, the caller's, which it closes after fuse_through_free. offered: by the kernel, at FUSE_INIT. */
struct fuse_through *fuse_through_new(struct holder_page *page, int device, bool offered);
void fuse_through_free(struct fuse_through *through);

/*
 * That node is opened once more. content: the file to be read, borrowed; -1: it may change yet. The kernel's number for it, to be
 * answered (fuse_wire_pass); 0: it is read through floatfs.
 */
uint32_t fuse_through_open(struct fuse_through *through, uint64_t node, int content);
/* passed: whether a number was answered. */
void fuse_through_release(struct fuse_through *through, uint64_t node, bool passed);
