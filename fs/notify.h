/*
 * Who waits on the mount: poll handles and parked reads of `wait`. One thread looks at them after each change
 * and wakes those concerned: a notification must never be sent while a request is being answered or a lock is
 * held (libfuse's README.notifications).
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/fs.h"

struct notify *notify_new(struct floatfs *fs);
/* Starts the thread; until then waking is remembered. */
int notify_start(struct notify *notify, struct error *err);
/* Ends the thread and drops everything; before the session is destroyed. */
void notify_stop(struct notify *notify);
void notify_free(struct notify *notify);

/* Something changed. Any thread, any lock held. */
void notify_wake(struct notify *notify);

/* A poll on an open handle: key is the handle, one at a time; takes over pollhandle. */
void notify_add_poll(struct notify *notify, const void *key, uint64_t serial, enum change change,
		     uint64_t seen, struct fuse_pollhandle *pollhandle);
void notify_drop_poll(struct notify *notify, const void *key);

/* Park a read until the job has ended: then it is answered with its part of the exit code's line. Interrupted:
 * EINTR. */
void notify_park(struct notify *notify, fuse_req_t request, uint64_t serial, size_t size, off_t offset);

/* What `wait` and exit_code say; "" until the job has ended. */
void notify_exit_text(const struct record *record, char text[16]);
