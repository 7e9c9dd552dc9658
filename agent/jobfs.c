#include "agent/jobfs.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/askline.h"
#include "agent/jobtree.h"
#include "agent/logdir.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
	VALUE_SIZE = 4096,     /* what a one-value file shows, and the longest command */
	PIECE_SIZE = 64 << 10, /* of what the controller is asked for at once; JSON makes it longer */
	LINK_TIMEOUT_MS = 2000,
	INTERRUPT_GRACE_MS = 300,
	FREEZE_GRACE_MS = 5000, /* criu waits for the tasks to stop for ten seconds */
	FOREVER = 86400,
};

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

struct jobfs {
	pthread_mutex_t lock;
	pthread_t thread;
	int wake_fd;
	bool stopping;
	struct fuse_session *session;
	struct jobtree *tree;
	struct askline *line;
	struct waiting *list;
	char *log_dir;
	uid_t uid;
	gid_t gid;
	bool held;
	int64_t *sizes; /* of live nodes, by number; -1: not known */
};

/* Everything below runs in the thread of jobfs with the lock held, up to the functions of jobfs.h. */

static struct jobfs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static const struct jobtree_node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	const struct jobtree *tree = fs_of(req)->tree;
	return ino >= 1 && ino <= tree->count ? &tree->nodes[ino - 1] : NULL;
}

static size_t number_of(const struct jobfs *fs, const struct jobtree_node *node)
{
	return (size_t)(node - fs->tree->nodes);
}

static bool is_live(const struct jobtree_node *node)
{
	return node->kind == JOBTREE_LOG_FILE || node->kind == JOBTREE_ASKED_LIVE;
}

static int open_log_file(struct jobfs *fs, const struct jobtree_node *node, struct stat *st)
{
	autoclose int root = logdir_open(fs->log_dir);
	return root < 0 ? -ENOENT : logdir_open_file(root, node->leaf, st);
}

/* The size that a live file shows now; -ENOENT. */
static int64_t live_size(struct jobfs *fs, const struct jobtree_node *node)
{
	int64_t *known = &fs->sizes[number_of(fs, node)];
	if (node->kind == JOBTREE_ASKED_LIVE)
		return *known < 0 ? 0 : *known;
	if (fs->held)
		return *known < 0 ? -ENOENT : *known;
	struct stat st;
	autoclose int fd = open_log_file(fs, node, &st);
	if (fd < 0)
		*known = -1;
	else
		*known = st.st_size;
	return fd < 0 ? fd : *known;
}

static int fill_attributes(struct jobfs *fs, const struct jobtree_node *node, struct stat *st)
{
	static const mode_t types[] = {
		[JOBTREE_DIRECTORY] = S_IFDIR,  [JOBTREE_VALUE] = S_IFREG,      [JOBTREE_CONTROL] = S_IFREG,
		[JOBTREE_ASKED_LINK] = S_IFLNK, [JOBTREE_FIXED_LINK] = S_IFLNK, [JOBTREE_LOG_FILE] = S_IFREG,
		[JOBTREE_ASKED_LIVE] = S_IFREG,
	};
	*st = (struct stat){
		.st_ino = number_of(fs, node) + 1,
		.st_mode = types[node->kind] | (types[node->kind] == S_IFLNK ? 0777 : node->mode),
		.st_nlink = node->kind == JOBTREE_DIRECTORY ? 2 : 1,
		.st_uid = fs->uid,
		.st_gid = fs->gid,
		.st_blksize = 4096,
	};
	if (node->kind == JOBTREE_VALUE || node->kind == JOBTREE_CONTROL)
		st->st_size = VALUE_SIZE;
	if (node->kind == JOBTREE_FIXED_LINK)
		st->st_size = (off_t)strlen(node->target);
	if (is_live(node)) {
		int64_t size = live_size(fs, node);
		if (size < 0)
			return (int)size;
		st->st_size = size;
	}
	st->st_blocks = (st->st_size + 511) / 512;
	return 0;
}

static void ask(struct jobfs *fs, struct waiting *waiting, const char *op, json_object *question,
		int timeout_ms);

/* Look up for the next time how long it has become: nobody waits for it. */
static void refresh_size(struct jobfs *fs, const struct jobtree_node *node)
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

static void forget_waiting(struct jobfs *fs, struct waiting *waiting)
{
	struct waiting **link = &fs->list;
	while (*link != waiting)
		link = &(*link)->following;
	*link = waiting->following;
	free(waiting);
}

static void reply_slice(fuse_req_t req, const char *text, size_t length, off_t offset, size_t size)
{
	if (offset < 0 || (size_t)offset >= length) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	size_t left = length - (size_t)offset;
	fuse_reply_buf(req, text + offset, left < size ? left : size);
}

/* The controller's answer: askline's callback. */
static void on_answer(void *context, void *request, int code, const char *data, size_t length)
{
	struct jobfs *fs = context;
	struct waiting *waiting = request;
	int64_t *size = &fs->sizes[number_of(fs, waiting->node)];
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
		reply_slice(waiting->req, handle->text, length, waiting->offset, waiting->size);
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

/* Called in the middle of libfuse: only noted here, answered by end_interrupted. */
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
static void end_interrupted(struct jobfs *fs)
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

static void ask_for(fuse_req_t req, struct waiting what, const char *op, json_object *question,
		    int timeout_ms)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	if (!waiting) {
		json_object_put(question);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*waiting = what;
	waiting->fs = fs_of(req);
	waiting->req = req;
	ask(waiting->fs, waiting, op, question, timeout_ms);
}

/* The operations. */

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct jobtree_node *above = node_of(req, parent);
	const struct jobtree_node *node = above ? jobtree_child(fs_of(req)->tree, above, name) : NULL;
	struct fuse_entry_param entry = { .entry_timeout = FOREVER,
					  .attr_timeout = FOREVER,
					  .generation = 1 };
	int status = node ? fill_attributes(fs_of(req), node, &entry.attr) : -ENOENT;
	if (status < 0) {
		fuse_reply_err(req, -status);
		return;
	}
	entry.ino = entry.attr.st_ino;
	if (is_live(node)) {
		entry.attr_timeout = 0;
		if (node->kind == JOBTREE_LOG_FILE)
			entry.entry_timeout = 0;
		refresh_size(fs_of(req), node);
	}
	fuse_reply_entry(req, &entry);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	const struct jobtree_node *node = node_of(req, ino);
	struct stat st;
	int status = node ? fill_attributes(fs_of(req), node, &st) : -ENOENT;
	if (status < 0) {
		fuse_reply_err(req, -status);
		return;
	}
	refresh_size(fs_of(req), node);
	fuse_reply_attr(req, &st, is_live(node) ? 0 : FOREVER);
}

/* Shells truncate what they write to, and touch sets times: accepted where a write would be, and nothing
 * comes of it. */
static void do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attributes, int what,
		       struct fuse_file_info *fi)
{
	(void)attributes;
	const struct jobtree_node *node = node_of(req, ino);
	if (!node || (what & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) ||
	    ((what & FUSE_SET_ATTR_SIZE) && node->kind != JOBTREE_CONTROL)) {
		fuse_reply_err(req, node ? EPERM : ENOENT);
		return;
	}
	do_getattr(req, ino, fi);
}

static void do_readlink(fuse_req_t req, fuse_ino_t ino)
{
	const struct jobtree_node *node = node_of(req, ino);
	if (node && node->kind == JOBTREE_FIXED_LINK)
		fuse_reply_readlink(req, node->target);
	else if (node && node->kind == JOBTREE_ASKED_LINK)
		ask_for(req, (struct waiting){ .node = node, .want = WANT_LINK }, "readlink",
			json_object_new_object(), LINK_TIMEOUT_MS);
	else
		fuse_reply_err(req, EINVAL);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct jobtree_node *node = node_of(req, ino);
	bool reads = (fi->flags & O_ACCMODE) == O_RDONLY;
	if (!node || (!reads && node->kind != JOBTREE_CONTROL)) {
		fuse_reply_err(req, node ? EACCES : ENOENT);
		return;
	}
	struct handle *handle = calloc(1, sizeof(*handle));
	if (!handle) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	fi->fh = (uintptr_t)handle;
	fi->direct_io = 1;
	/* close() of a reader must not need us. */
	fi->noflush = reads;
	refresh_size(fs_of(req), node);
	if (fuse_reply_open(req, fi) < 0)
		free(handle);
}

static void do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	struct handle *handle = (struct handle *)(uintptr_t)fi->fh;
	free(handle->text);
	free(handle);
	fuse_reply_err(req, 0);
}

static void read_log_file(fuse_req_t req, const struct jobtree_node *node, size_t size, off_t offset)
{
	struct jobfs *fs = fs_of(req);
	struct stat st;
	if (fs->held) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	autoclose int fd = open_log_file(fs, node, &st);
	autofree char *buffer = fd < 0 ? NULL : malloc(size);
	ssize_t got = fd < 0 ? fd : buffer ? pread(fd, buffer, size, offset) : -ENOMEM;
	if (got < 0)
		fuse_reply_err(req, fd < 0 ? -fd : errno);
	else
		fuse_reply_buf(req, buffer, (size_t)got);
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	const struct jobtree_node *node = node_of(req, ino);
	struct handle *handle = (struct handle *)(uintptr_t)fi->fh;
	json_object *question;
	switch (node->kind) {
	case JOBTREE_LOG_FILE:
		read_log_file(req, node, size, offset);
		return;
	case JOBTREE_ASKED_LIVE:
		if (size > PIECE_SIZE)
			size = PIECE_SIZE;
		question = json_object_new_object();
		json_set_int(question, "offset", offset);
		json_set_int(question, "size", (int64_t)size);
		ask_for(req,
			(struct waiting){ .node = node, .want = WANT_PIECE, .size = size, .offset = offset },
			"read", question, 0);
		return;
	default:
		/* One state for one reader: asked at its beginning, the rest comes from what was answered
		 * then. */
		if (handle->text && offset > 0)
			reply_slice(req, handle->text, handle->length, offset, size);
		else
			ask_for(req,
				(struct waiting){ .node = node,
						  .want = WANT_VALUE,
						  .handle = handle,
						  .size = size,
						  .offset = offset },
				"read", json_object_new_object(), 0);
	}
}

/* What can be told in JSON. */
static bool is_text(const char *data, size_t size)
{
	autofree char *copy = strndup(data, size);
	if (!copy || strlen(copy) != size)
		return false;
	autofree char *printable = logdir_printable(copy);
	return strcmp(copy, printable) == 0;
}

static void do_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	(void)offset;
	(void)fi;
	const struct jobtree_node *node = node_of(req, ino);
	if (node->kind != JOBTREE_CONTROL || size == 0 || size > VALUE_SIZE || !is_text(data, size)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	json_object *question = json_object_new_object();
	json_object_object_add(question, "data", json_object_new_string_len(data, (int)size));
	ask_for(req, (struct waiting){ .node = node, .want = WANT_WRITE, .size = size }, "write", question,
		0);
}

static void do_nothing(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void do_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
	(void)data_only;
	do_nothing(req, ino, fi);
}

static void do_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct jobtree_node *node = node_of(req, ino);
	if (node && node->kind == JOBTREE_DIRECTORY)
		fuse_reply_open(req, fi);
	else
		fuse_reply_err(req, ENOTDIR);
}

static void do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)fi;
	struct jobfs *fs = fs_of(req);
	size_t self = (size_t)ino - 1, used = 0;
	autofree char *buffer = malloc(size);
	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	/* Offset: 0 and 1 for the dots, then 2 and the node's number; what comes next. */
	for (size_t at = (size_t)offset; at < fs->tree->count + 2; at++) {
		const struct jobtree_node *node = at >= 2 ? &fs->tree->nodes[at - 2] : NULL;
		struct stat st = { .st_ino = ino, .st_mode = S_IFDIR };
		if (node && (at == 2 || node->parent != self || fill_attributes(fs, node, &st) < 0))
			continue;
		const char *name = node ? node->leaf : at == 0 ? "." : "..";
		size_t length = fuse_add_direntry(req, buffer + used, size - used, name, &st, (off_t)at + 1);
		if (length > size - used)
			break;
		used += length;
	}
	fuse_reply_buf(req, buffer, used);
}

static void do_statfs(fuse_req_t req, fuse_ino_t ino)
{
	(void)ino;
	struct statvfs st = {
		.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255, .f_files = fs_of(req)->tree->count
	};
	fuse_reply_statfs(req, &st);
}

/* Always ready, as a plain file is. No answer at all would turn poll off for the whole mount. */
static void do_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *handle)
{
	(void)ino;
	(void)fi;
	if (handle)
		fuse_pollhandle_destroy(handle);
	fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}

static void refuse_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)device;
	fuse_reply_err(req, EPERM);
}

static void refuse_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	refuse_mknod(req, parent, name, mode, 0);
}

static void refuse_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	refuse_mknod(req, parent, name, 0, 0);
}

static void refuse_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	refuse_mknod(req, parent, name, 0, 0);
}

static void refuse_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
			  const char *new_name, unsigned flags)
{
	(void)new_parent;
	(void)new_name;
	(void)flags;
	refuse_mknod(req, parent, name, 0, 0);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = do_lookup,
	.getattr = do_getattr,
	.setattr = do_setattr,
	.readlink = do_readlink,
	.open = do_open,
	.release = do_release,
	.read = do_read,
	.write = do_write,
	.flush = do_nothing,
	.fsync = do_fsync,
	.opendir = do_opendir,
	.releasedir = do_nothing,
	.readdir = do_readdir,
	.statfs = do_statfs,
	.poll = do_poll,
	.mknod = refuse_mknod,
	.mkdir = refuse_mkdir,
	.unlink = refuse_remove,
	.rmdir = refuse_remove,
	.symlink = refuse_symlink,
	.rename = refuse_rename,
};

static void *jobfs_main(void *argument)
{
	struct jobfs *fs = argument;
	struct fuse_buf buffer = { 0 };
	pthread_mutex_lock(&fs->lock);
	while (!fs->stopping && !fuse_session_exited(fs->session)) {
		struct pollfd waiting[] = {
			{ .fd = fuse_session_fd(fs->session), .events = POLLIN },
			{ .fd = fs->wake_fd, .events = POLLIN },
			{ .fd = askline_fd(fs->line), .events = POLLIN },
		};
		int timeout = askline_timeout_ms(fs->line);
		if (fs->list && (timeout < 0 || timeout > INTERRUPT_GRACE_MS))
			timeout = INTERRUPT_GRACE_MS;
		pthread_mutex_unlock(&fs->lock);
		poll(waiting, array_length(waiting), timeout);
		pthread_mutex_lock(&fs->lock);
		if (fs->stopping)
			break;
		if (waiting[0].revents) {
			int got = fuse_session_receive_buf(fs->session, &buffer);
			if (got > 0)
				fuse_session_process_buf(fs->session, &buffer);
			else if (got < 0 && got != -EINTR && got != -EAGAIN)
				break;
		}
		askline_work(fs->line);
		end_interrupted(fs);
	}
	if (!fs->stopping)
		log_info("the job's own /float was unmounted");
	pthread_mutex_unlock(&fs->lock);
	free(buffer.mem);
	return NULL;
}

/* The functions of jobfs.h; called from other threads. */

static int mount_session(struct jobfs *fs, const char *mountpoint, struct error *err)
{
	char *arguments[] = { "float", "-o", "allow_other,default_permissions,fsname=float,subtype=float" };
	struct fuse_args args = FUSE_ARGS_INIT(array_length(arguments), arguments);
	fs->session = fuse_session_new(&args, &operations, sizeof(operations), fs);
	fuse_opt_free_args(&args);
	if (!fs->session)
		return error_set(err, ENOMEM, "cannot make the job's own /float");
	if (fuse_session_mount(fs->session, mountpoint) != 0) {
		fuse_session_destroy(fs->session);
		fs->session = NULL;
		return error_set(err, EIO, "cannot mount the job's own /float at %s: is /dev/fuse there",
				 mountpoint);
	}
	int fd = fuse_session_fd(fs->session);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return 0;
}

static void free_parts(struct jobfs *fs)
{
	askline_free(fs->line);
	if (fs->session) {
		fuse_session_unmount(fs->session);
		fuse_session_destroy(fs->session);
	}
	if (fs->wake_fd >= 0)
		close(fs->wake_fd);
	jobtree_free(fs->tree);
	pthread_mutex_destroy(&fs->lock);
	free(fs->sizes);
	free(fs->log_dir);
	free(fs);
}

int jobfs_start(const struct jobfs_config *config, struct jobfs **started, struct error *err)
{
	struct jobfs *fs = calloc(1, sizeof(*fs));
	if (!fs)
		abort();
	pthread_mutex_init(&fs->lock, NULL);
	fs->uid = config->uid;
	fs->gid = config->gid;
	fs->log_dir = format_string("%s", config->log_dir);
	fs->line = askline_new(config->socket, on_answer, fs);
	fs->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fs->tree = jobtree_new(config->tree, config->id, config->log_path, err);
	int status = fs->tree ? 0 : -err->code;
	if (status == 0 && fs->wake_fd < 0)
		status = error_sys(err, errno, "cannot make the job's own /float");
	if (status == 0) {
		fs->sizes = reallocarray(NULL, fs->tree->count, sizeof(*fs->sizes));
		if (!fs->sizes)
			abort();
		for (size_t i = 0; i < fs->tree->count; i++)
			fs->sizes[i] = -1;
		status = mount_session(fs, config->mountpoint, err);
	}
	if (status == 0) {
		status = -pthread_create(&fs->thread, NULL, jobfs_main, fs);
		if (status < 0)
			error_sys(err, -status, "cannot serve the job's own /float");
	}
	if (status < 0) {
		free_parts(fs);
		return status;
	}
	*started = fs;
	return 0;
}

json_object *jobfs_hold(struct jobfs *fs)
{
	json_object *sizes = json_object_new_object();
	pthread_mutex_lock(&fs->lock);
	for (size_t i = 0; i < fs->tree->count; i++) {
		const struct jobtree_node *node = &fs->tree->nodes[i];
		if (is_live(node) && live_size(fs, node) >= 0)
			json_set_int(sizes, node->path, fs->sizes[i]);
	}
	fs->held = true;
	pthread_mutex_unlock(&fs->lock);
	return sizes;
}

void jobfs_hold_at(struct jobfs *fs, json_object *sizes)
{
	pthread_mutex_lock(&fs->lock);
	for (size_t i = 0; i < fs->tree->count; i++) {
		const struct jobtree_node *node = &fs->tree->nodes[i];
		if (is_live(node))
			fs->sizes[i] = sizes ? json_get_int(sizes, node->path, -1) : fs->sizes[i];
	}
	fs->held = true;
	pthread_mutex_unlock(&fs->lock);
}

void jobfs_go_on(struct jobfs *fs)
{
	pthread_mutex_lock(&fs->lock);
	fs->held = false;
	pthread_mutex_unlock(&fs->lock);
}

void jobfs_stop(struct jobfs *fs)
{
	if (!fs)
		return;
	pthread_mutex_lock(&fs->lock);
	fs->stopping = true;
	pthread_mutex_unlock(&fs->lock);
	uint64_t one = 1;
	if (write(fs->wake_fd, &one, sizeof(one)) < 0)
		log_debug("jobfs: already awake");
	pthread_join(fs->thread, NULL);
	free_parts(fs);
}
