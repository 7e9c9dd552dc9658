/*
 * How the mount outlives floatfs.
 *
 * A FUSE mount lives as long as somebody has its /dev/fuse descriptor open. So that this is not floatfs alone, floatfs
 * forks a small process when it starts: the holder (holder_process.c). It keeps a duplicate of the descriptor, and a page
 * of memory, shared with floatfs, with what a successor has to know (struct holder_page). It waits on a socket,
 * STATE/holder, to which the floatfs that serves stays connected: when that connection closes without a word, floatfs
 * has died. What is asked of the mount from then on waits in the kernel.
 *
 * The next floatfs of the same state directory connects, is given descriptor and page, and serves on (fuse_mount.c):
 * - libfuse learns what was agreed with the kernel from the kept FUSE_INIT request, which is played to it again;
 * - who polls is woken once, as nobody knows any more what it had seen (holder_page.polls);
 * - FUSE_NOTIFY_RESEND makes the kernel send again what it was never answered (fuse_wire.h). What was carried out then
 *   and not answered comes a second time: controls take it as done (struct caller, `again`);
 * - node ids are computed (tree.h), handles are numbers: one that is not known is opened anew when it is used
 *   (handles.h), and a place in a directory is computed from what stands there (fuse_dir.c).
 * SIGHUP does the same on purpose (restart.h): floatfs stops, leaves the mount, and executes its program anew.
 *
 * When no successor comes in time (-o hold=), the holder unmounts and ends the connection, so that nothing waits for
 * ever. When floatfs ends in an orderly way it tells the holder, which ends first.
 */
#pragma once

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

enum {
	/* Of the page, and of what floatfs asks of the kernel at FUSE_INIT: a mount of another version is not taken
	 * over. */
	HOLDER_VERSION = 2,
	HOLDER_INIT_MAX = 256,
	HOLDER_MEANINGS = 256,
	HOLDER_POLLS = 1 << 20, /* pages that nobody touches take no memory */
	HOLDER_OPENS = 1 << 16,
};

/* A log file that is open, by so many; a place that is free: by none (fuse_through.h). */
struct holder_open {
	uint64_t node;
	uint32_t backing, passed; /* the kernel reads it itself, for so many, under that number */
	uint32_t plain;           /* the others */
};

/* Shared by the holder and the floatfs that serves, which alone writes. */
struct holder_page {
	uint32_t version;
	uint32_t init_length; /* 0: not agreed yet */
	uint64_t device;      /* the mount's st_dev */
	char init[HOLDER_INIT_MAX];
	uint32_t meanings[HOLDER_MEANINGS]; /* of what its inode numbers are made of (tree_describe_kinds) */
	uint32_t private_mount;             /* one user's alone */
	char id[17];                        /* of the mount, random */
	_Atomic uint64_t last_handle;       /* handles.h: no number is given twice while the mount lives */
	_Atomic uint64_t polls_end;         /* no poll stands at or after it */
	uint32_t opens_missed;              /* not all are in `opens` */
	char mountpoint[PATH_MAX];
	/* The kernel's numbers of open files that were polled; 0: a free place. */
	_Atomic uint64_t polls[HOLDER_POLLS];
	struct holder_open opens[HOLDER_OPENS];
};

struct holder;

struct holder_config {
	const char *state;
	const char *mountpoint; /* as the kernel names it */
	const char *log;        /* where the holder logs; NULL: stderr, as it is */
	unsigned seconds;       /* for which it waits for a successor; 0: there is no holder */
	bool private_mount;
	const uint32_t *meanings; /* HOLDER_MEANINGS of them */
};

/*
 * Finds the holder of this state directory, and takes over what it has; or starts one, which has nothing yet. What a
 * holder has and is of no use is given up, and the log says so. No other thread runs yet. Always gives a page.
 */
int holder_open(const struct holder_config *config, struct holder **holder, struct error *err);

struct holder_page *holder_page(struct holder *holder);
/* The descriptor of the mount that was taken over, the caller's from now on; -1 when there is none. */
int holder_take_device(struct holder *holder);
/* Is there somebody who will hold the mount? */
bool holder_is_there(const struct holder *holder);

/* Have it hold this new mount; the descriptor stays the caller's. */
int holder_give(struct holder *holder, int device, struct error *err);
/* It is served now: should the connection close, a successor has this time anew. */
void holder_tell_serving(struct holder *holder);

/* The mount is over: returns when the holder has let go of it. */
void holder_end(struct holder *holder);
/* Frees; without holder_end before it, the mount is left to the holder. */
void holder_close(struct holder *holder);

/* ---- for holder.c and holder_process.c ---- */

/* On the connection; with `give`, and with `held` where something is, come the descriptors of the device and of the page. */
enum holder_word { HOLDER_GIVE = 'g', HOLDER_SERVING = 's', HOLDER_END = 'e', HOLDER_HELD = 'h' };

struct holder_message {
	uint32_t word;
	uint32_t seconds; /* HOLDER_SERVING */
};

enum { HOLDER_DEVICE, HOLDER_PAGE, HOLDER_FDS };

int holder_send(int socket, const struct holder_message *message, const int fds[HOLDER_FDS]);
/* 1: a message; 0: the other end is closed. fds are -1 where none came; they are the caller's. */
int holder_receive(int socket, struct holder_message *message, int fds[HOLDER_FDS]);
/* NULL: it is not a page of ours. */
struct holder_page *holder_map(int fd);
/* Is this page's mount still where it was made? Nobody needs to serve it. */
bool holder_is_mounted(const struct holder_page *page);

/*
 * The holder's process, until it ends: listening and connection are its own, directory is the state directory.
 */
_Noreturn void holder_process_run(int listening, int connection, int directory,
				  const struct holder_config *config);
