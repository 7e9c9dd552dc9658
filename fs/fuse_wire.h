/*
 * The kernel's side of FUSE (linux/fuse.h) as far as libfuse does not show it: what a floatfs that takes over a mount
 * (holder.h) has to know and to say. All requests and answers pass through here.
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/holder.h"

/* The session serves this descriptor of /dev/fuse, and owns it. */
int fuse_wire_attach(struct fuse_session *session, int device, struct error *err);

/* Answers the kernel's FUSE_INIT, which a new mount sends first, and keeps it in the page. */
int fuse_wire_agree(struct fuse_session *session, struct holder_page *page, struct error *err);
/* Plays the kept one to a session that takes over. */
void fuse_wire_replay(struct fuse_session *session, struct holder_page *page);
/* Does this kernel send again what was not answered? Linux 6.9. */
bool fuse_wire_can_resend(const struct holder_page *page);
/* The kernel sends again what a floatfs before us was sent and has not answered. */
int fuse_wire_resend(int device);
/* Wake who polls the open file that the kernel knows by that number; nobody does: nothing. */
void fuse_wire_wake(int device, uint64_t poll);

/* Does this kernel read files itself when it is told which? Linux 6.9. */
bool fuse_wire_can_pass(const struct holder_page *page);
/* For the open that this thread answers next: the kernel reads the file itself, which it knows by that number. */
void fuse_wire_pass(uint32_t backing);

/* ---- of the request that this thread was given last ---- */

/* It was sent before: what it asks for may have been done. */
bool fuse_wire_is_again(void);
/* Stays the same when it comes again. */
uint64_t fuse_wire_unique(void);
/* Of a poll: the kernel's number of the open file. */
uint64_t fuse_wire_poll(void);
