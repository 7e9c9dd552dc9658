/*
 * Who waits on the mount: poll handles and parked reads of `wait`. One thread looks, after each change, at those who
 * wait for what changed, and wakes them: a notification must never be sent while a request is being answered or a lock
 * is held (libfuse's README.notifications).
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/tree.h"

struct notify *notify_new(struct floatfs *fs);
/* Starts the thread; until then changes are remembered. */
int notify_start(struct notify *notify, struct error *err);
/* Ends the thread and drops everything, unanswered where the mount is left to the next floatfs; before the session is
 * destroyed. */
void notify_stop(struct notify *notify);
void notify_free(struct notify *notify);

/* Something of this node's job changed, or of this user's feed. Any thread, any lock held. */
void notify_changed(struct notify *notify, const struct node *node);

/* A poll on an open handle of that node: key is the handle, one at a time; seen is what it last read
 * (tree_change). Takes over pollhandle. */
void notify_add_poll(struct notify *notify, const struct node *node, const void *key, uint64_t seen,
		     struct fuse_pollhandle *pollhandle);
void notify_drop_poll(struct notify *notify, const struct node *node, const void *key);

/* Park a read until the job of that serial has ended: then it is answered with its part of the exit code's line.
 * Interrupted: EINTR. */
void notify_park(struct notify *notify, fuse_req_t request, uint64_t serial, size_t size, off_t offset);

/* What `wait` and exit_code say; "" until the job has ended. */
void notify_exit_text(const struct record *record, char text[16]);
