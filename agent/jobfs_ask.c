/* What only the controller knows: asked over the agent's socket, without anything else waiting for it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobfs_inside.h"
#include "lib/clock.h"
#include "lib/json.h"

enum {
	INTERRUPT_GRACE_MS = 300,
	FREEZE_GRACE_MS = 5000, /* criu waits for the tasks to stop for ten seconds */
};

static void forget_waiting(struct jobfs *fs, struct waiting *waiting)
{
	struct waiting **link = &fs->list;
	while (*link != waiting)
		link = &(*link)->following;
	*link = waiting->following;
	free(waiting);
}

void jobfs_reply_slice(fuse_req_t req, const char *text, size_t length, off_t offset, size_t size)
{
	if (offset < 0 || (size_t)offset >= length) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	size_t left = length - (size_t)offset;
	fuse_reply_buf(req, text + offset, left < size ? left : size);
}

void jobfs_on_answer(void *context, void *request, int code, const char *data, size_t length)
{
	struct jobfs *fs = context;
	struct waiting *waiting = request;
	int64_t *size = &fs->sizes[jobfs_number(fs, waiting->node)];
	if (code && waiting->req)
		fuse_reply_err(waiting->req, code);
	else if (!code && waiting->want == WANT_SIZE) {
		int64_t told = strtoll(data, NULL, 10);
		if (!fs->held && told > *size)
			*size = told;
	} else if (waiting->want == WANT_VALUE) {
		struct handle *handle = waiting->handle;
		free(handle->text);
		handle->text = malloc(length + 1);
		if (!handle->text)
			abort();
		memcpy(handle->text, data, length + 1);
		handle->length = length;
		jobfs_reply_slice(waiting->req, handle->text, length, waiting->offset, waiting->size);
	} else if (waiting->want == WANT_PIECE) {
		if (length > waiting->size)
			length = waiting->size;
		/* A reader must not find a size below what it has read. */
		if (!fs->held && waiting->offset + (int64_t)length > *size)
			*size = waiting->offset + (int64_t)length;
		fuse_reply_buf(waiting->req, data, length);
	} else if (waiting->want == WANT_LINK) {
		fuse_reply_readlink(waiting->req, data);
	} else if (waiting->want == WANT_WRITE) {
		fuse_reply_write(waiting->req, waiting->size);
	}
	forget_waiting(fs, waiting);
}

/* Called in the middle of libfuse: only noted here, answered by jobfs_end_interrupted. */
static void on_interrupt(fuse_req_t req, void *data)
{
	(void)req;
	struct waiting *waiting = data;
	if (!waiting->interrupted_ms)
		waiting->interrupted_ms = clock_monotonic_ms();
}

/*
 * A signal ends a request, but not at once: FUSE has no way to say "start it again", so that every handler
 * with SA_RESTART, and criu's stopping of the tasks, would be seen as an EINTR. The answer is a few
 * milliseconds off.
 */
void jobfs_end_interrupted(struct jobfs *fs)
{
	int64_t now = clock_monotonic_ms(), grace = fs->held ? FREEZE_GRACE_MS : INTERRUPT_GRACE_MS;
	for (struct waiting *waiting = fs->list, *following; waiting; waiting = following) {
		following = waiting->following;
		if (!waiting->interrupted_ms || now - waiting->interrupted_ms < grace)
			continue;
		askline_forget(fs->line, waiting);
		fuse_reply_err(waiting->req, EINTR);
		forget_waiting(fs, waiting);
	}
}

/* waiting and question are taken over. */
static void ask(struct jobfs *fs, struct waiting *waiting, const char *op, json_object *question,
		int timeout_ms)
{
	waiting->following = fs->list;
	fs->list = waiting;
	json_set_int(question, "uid",
		     waiting->req ? (int64_t)fuse_req_ctx(waiting->req)->uid : (int64_t)fs->uid);
	json_set_string(question, "op", op);
	json_set_string(question, "name", waiting->node->name);
	if (waiting->req)
		fuse_req_interrupt_func(waiting->req, on_interrupt, waiting);
	askline_ask(fs->line, question, waiting, timeout_ms);
}

void jobfs_ask_for(fuse_req_t req, struct waiting what, const char *op, json_object *question, int timeout_ms)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	if (!waiting) {
		json_object_put(question);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*waiting = what;
	waiting->fs = jobfs_of(req);
	waiting->req = req;
	ask(waiting->fs, waiting, op, question, timeout_ms);
}

void jobfs_refresh_size(struct jobfs *fs, const struct jobtree_node *node)
{
	if (node->kind != JOBTREE_ASKED_LIVE || fs->held)
		return;
	for (struct waiting *waiting = fs->list; waiting; waiting = waiting->following)
		if (waiting->want == WANT_SIZE && waiting->node == node)
			return;
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	if (!waiting)
		return;
	*waiting = (struct waiting){ .fs = fs, .node = node, .want = WANT_SIZE };
	ask(fs, waiting, "size", json_object_new_object(), 0);
}

int jobfs_interrupt_timeout_ms(const struct jobfs *fs)
{
	return fs->list ? INTERRUPT_GRACE_MS : -1;
}
