/* What the files of the job's own /float share; nobody else includes this. All in its thread, with the lock held. */
#pragma once

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "agent/askline.h"
#include "agent/jobfs.h"
#include "agent/jobtree.h"

enum { JOBFS_VALUE_SIZE = 4096 }; /* what a one-value file shows, and the longest command */

/* An open file; what was read of a one-value file. */
struct handle {
	char *text;
	size_t length;
};

/* A request of the job that waits for the controller. */
struct waiting {
	struct waiting *following;
	struct jobfs *fs;
	fuse_req_t req;         /* NULL: nobody waits, a size is looked up */
	int64_t interrupted_ms; /* since when; 0: it is not */
	const struct jobtree_node *node;
	enum { WANT_VALUE, WANT_PIECE, WANT_SIZE, WANT_LINK, WANT_WRITE } want;
	struct handle *handle;
	size_t size;
	off_t offset;
};

/* A read of `wait`. */
struct parked {
	struct parked *following;
	fuse_req_t req;
};

struct jobfs {
	pthread_mutex_t lock;
	pthread_t thread;
	int wake_fd;
	bool stopping;
	struct fuse_session *session;
	struct jobtree *tree;
	struct askline *line;
	struct waiting *list;
	struct parked *parked;
	char *log_dir;
	uid_t uid;
	gid_t gid;
	bool held;
	int64_t *sizes; /* of live nodes, by number; -1: not known */
};

static inline struct jobfs *jobfs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* ---- jobfs_nodes.c: what a node shows ---- */

size_t jobfs_number(const struct jobfs *fs, const struct jobtree_node *node);
bool jobfs_is_live(const struct jobtree_node *node);
/* A descriptor, or -errno. */
int jobfs_open_log_file(struct jobfs *fs, const struct jobtree_node *node, struct stat *st);
/* The size that a live file shows now; -ENOENT. */
int64_t jobfs_live_size(struct jobfs *fs, const struct jobtree_node *node);
int jobfs_fill_attributes(struct jobfs *fs, const struct jobtree_node *node, struct stat *st);

/* ---- jobfs_ask.c: what the controller is asked for ---- */

/* question is taken over; what the answer is wanted for is copied. */
void jobfs_ask_for(fuse_req_t req, struct waiting what, const char *op, json_object *question,
		   int timeout_ms);
/* Look up for the next time how long it has become: nobody waits for it. */
void jobfs_refresh_size(struct jobfs *fs, const struct jobtree_node *node);
void jobfs_reply_slice(fuse_req_t req, const char *text, size_t length, off_t offset, size_t size);
/* The controller's answer: askline's callback. */
void jobfs_on_answer(void *context, void *request, int code, const char *data, size_t length);
/* Those that were interrupted long enough ago. */
void jobfs_end_interrupted(struct jobfs *fs);
/* When to look for them next; -1: there is no need. */
int jobfs_interrupt_timeout_ms(const struct jobfs *fs);

/* ---- jobfs_park.c: reads that last as long as the job ---- */

/* Until it is interrupted, as it is by its task's end. */
void jobfs_park(fuse_req_t req);
/* With an error, when nobody serves any more. */
void jobfs_end_parked(struct jobfs *fs);

/* ---- jobfs_ops.c ---- */

extern const struct fuse_lowlevel_ops jobfs_operations;
