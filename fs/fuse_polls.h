/*
 * Who polls, as a successor must know it (holder.h): the kernel's numbers of open files, in the page that is shared with
 * the holder. A file stays there from its first poll to its release. Any thread may call.
 */
#pragma once

#include <stdint.h>

#include "fs/holder.h"

struct fuse_polls;

/* The page is borrowed, and must hold nothing: see fuse_polls_take. */
struct fuse_polls *fuse_polls_new(struct holder_page *page);
void fuse_polls_free(struct fuse_polls *polls);

/* A place for it, to be given back by drop; 0: there is none left, and it is said in the log. */
uint32_t fuse_polls_add(struct fuse_polls *polls, uint64_t number);
void fuse_polls_drop(struct fuse_polls *polls, uint32_t place);

/* Calls visit with each that is in the page, and empties it. Before other threads run. */
void fuse_polls_take(struct holder_page *page, void (*visit)(void *context, uint64_t number), void *context);
