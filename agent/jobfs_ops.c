/* The FUSE operations of the job's own /float. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/jobfs_inside.h"
#include "agent/logdir.h"
#include "lib/cleanup.h"
#include "lib/json.h"

enum {
	PIECE_SIZE = 64 << 10, /* of what the controller is asked for at once; JSON makes it longer */
	LINK_TIMEOUT_MS = 2000,
	FOREVER = 86400,
};

static const struct jobtree_node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	const struct jobtree *tree = jobfs_of(req)->tree;
	return ino >= 1 && ino <= tree->count ? &tree->nodes[ino - 1] : NULL;
}
static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct jobtree_node *above = node_of(req, parent);
	const struct jobtree_node *node = above ? jobtree_child(jobfs_of(req)->tree, above, name) : NULL;
	struct fuse_entry_param entry = { .entry_timeout = FOREVER,
					  .attr_timeout = FOREVER,
					  .generation = 1 };
	int status = node ? jobfs_fill_attributes(jobfs_of(req), node, &entry.attr) : -ENOENT;
	if (status < 0) {
		fuse_reply_err(req, -status);
		return;
	}
	entry.ino = entry.attr.st_ino;
	if (jobfs_is_live(node)) {
		entry.attr_timeout = 0;
		if (node->kind == JOBTREE_LOG_FILE)
			entry.entry_timeout = 0;
		jobfs_refresh_size(jobfs_of(req), node);
	}
	fuse_reply_entry(req, &entry);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	const struct jobtree_node *node = node_of(req, ino);
	struct stat st;
	int status = node ? jobfs_fill_attributes(jobfs_of(req), node, &st) : -ENOENT;
	if (status < 0) {
		fuse_reply_err(req, -status);
		return;
	}
	jobfs_refresh_size(jobfs_of(req), node);
	fuse_reply_attr(req, &st, jobfs_is_live(node) ? 0 : FOREVER);
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
		jobfs_ask_for(req, (struct waiting){ .node = node, .want = WANT_LINK }, "readlink",
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
	jobfs_refresh_size(jobfs_of(req), node);
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
	struct jobfs *fs = jobfs_of(req);
	struct stat st;
	if (fs->held) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	autoclose int fd = jobfs_open_log_file(fs, node, &st);
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
		jobfs_ask_for(
		    req, (struct waiting){ .node = node, .want = WANT_PIECE, .size = size, .offset = offset },
		    "read", question, 0);
		return;
	case JOBTREE_WAIT:
		jobfs_park(req);
		return;
	default:
		/* One state for one reader: asked at its beginning, the rest comes from what was answered
		 * then. */
		if (handle->text && offset > 0)
			jobfs_reply_slice(req, handle->text, handle->length, offset, size);
		else
			jobfs_ask_for(req,
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
	if (node->kind != JOBTREE_CONTROL || size == 0 || size > JOBFS_VALUE_SIZE || !is_text(data, size)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	json_object *question = json_object_new_object();
	json_object_object_add(question, "data", json_object_new_string_len(data, (int)size));
	jobfs_ask_for(req, (struct waiting){ .node = node, .want = WANT_WRITE, .size = size }, "write",
		      question, 0);
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
	struct jobfs *fs = jobfs_of(req);
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
		if (node && (at == 2 || node->parent != self || jobfs_fill_attributes(fs, node, &st) < 0))
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
		.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255, .f_files = jobfs_of(req)->tree->count
	};
	fuse_reply_statfs(req, &st);
}

/* Always ready, as a plain file is, but for `wait`, which never is. No answer at all would turn poll off for the whole
 * mount. */
static void do_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *handle)
{
	(void)fi;
	if (handle)
		fuse_pollhandle_destroy(handle);
	bool ready = node_of(req, ino)->kind != JOBTREE_WAIT;
	fuse_reply_poll(req, ready ? POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM : 0);
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

const struct fuse_lowlevel_ops jobfs_operations = {
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
