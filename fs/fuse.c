#include "fs/fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/fuse_device.h"
#include "fs/fuse_dir.h"
#include "fs/fuse_watch.h"
#include "fs/images.h"
#include "fs/job.h"
#include "fs/notify.h"
#include "fs/secrets.h"
#include "fs/settings.h"
#include "fs/tree.h"
#include "fs/users.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"

/* Attributes are asked each time: sizes grow (reference: a cached size stops `tail -f` for good). So are names. */
#define CHANGING_TIMEOUT 0.0
/* But of what no longer changes: the kernel would ask before each read(2) of its cache. */
#define FINAL_TIMEOUT 10.0
/*
 * And the directories on the way to a job's files stay what they are, and the kernel sees a job's mkdir and rmdir
 * itself: asked at every step of every path, they would be most of what `ls -l` of many files costs. Not for longer: a
 * mount whose daemon died must not look alive.
 */
#define WAY_TIMEOUT 0.1

enum {
	WORKERS_MAX = 64,
	WORKERS_IDLE = 16,
	READAHEAD = 4 << 20, /* of what the kernel keeps: files */
};

struct fuse_mount {
	struct floatfs *fs;
	struct fuse_session *session;
	char *mountpoint; /* as the kernel names it */
};

struct floatfs *fuse_mount_fs(struct fuse_mount *mount)
{
	return mount->fs;
}

/* One open(2). */
struct handle {
	struct node node;
	pthread_mutex_t lock; /* guards text */
	char *text;           /* a value, rendered by the last read at offset 0 */
	size_t length;
	int fd;                /* a setting; -1 */
	_Atomic uint64_t seen; /* what poll last told of */
};

static struct floatfs *fs_of(fuse_req_t request)
{
	return fuse_mount_fs(fuse_req_userdata(request));
}

static struct caller caller_of(fuse_req_t request)
{
	const struct fuse_ctx *context = fuse_req_ctx(request);
	return (struct caller){ context->uid, context->gid, context->pid };
}

static struct node node_of(fuse_req_t request, fuse_ino_t inode)
{
	struct node node = tree_node(inode);
	const struct tree_entry *entry = tree_entry(node.kind);
	if (entry && entry->per_user)
		node.generation = fuse_req_ctx(request)->uid;
	return node;
}

static double way_timeout(const struct node *node)
{
	bool stays = node->kind == TREE_ROOT || node->kind == TREE_JOBS || node->kind == TREE_JOB ||
		     node->kind == TREE_FILES;
	return stays ? WAY_TIMEOUT : CHANGING_TIMEOUT;
}

static double attr_timeout(struct floatfs *fs, const struct node *node)
{
	return tree_is_final(fs, node) ? FINAL_TIMEOUT : way_timeout(node);
}

static void reply_entry(fuse_req_t request, const struct node *node)
{
	struct fuse_entry_param entry = { .entry_timeout = way_timeout(node) };
	/* Before its size is: it may end in between. */
	entry.attr_timeout = attr_timeout(fs_of(request), node);
	struct node seen = node_of(request, tree_id(node));
	int status = tree_stat(fs_of(request), &seen, &entry.attr);
	entry.ino = tree_id(node);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		fuse_reply_entry(request, &entry);
}

static void op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct node directory = tree_node(parent), node;
	if (files_holds(&directory)) {
		files_lookup(fs_of(request), request, &directory, name);
		return;
	}
	int status = tree_lookup(fs_of(request), &directory, name, &node);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		reply_entry(request, &node);
}

static void reply_attr(fuse_req_t request, fuse_ino_t inode)
{
	struct stat st;
	struct node node = node_of(request, inode);
	if (node.kind == TREE_FILES_ENTRY) {
		files_stat(fs_of(request), request, &node);
		return;
	}
	double timeout = attr_timeout(fs_of(request), &node);
	int status = tree_stat(fs_of(request), &node, &st);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		fuse_reply_attr(request, &st, timeout);
}

static void op_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	(void)info;
	reply_attr(request, inode);
}

static void unlock_setting(struct job *job)
{
	pthread_mutex_unlock(&job->settings_lock);
	job_put(job);
}

/* It may be written, and `start` does not come in between until unlock_setting. */
static int lock_setting(struct floatfs *fs, const struct node *node, struct job **locked)
{
	struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return -ENOENT;
	pthread_mutex_lock(&job->settings_lock);
	job_lock(job);
	bool may = settings_may_be_written(tree_entry(node->kind), &job->record) && !job->forgotten;
	job_unlock(job);
	*locked = job;
	if (may)
		return 0;
	unlock_setting(job);
	return -EROFS;
}

static int truncate_setting(struct floatfs *fs, const struct node *node, const char *name, off_t size)
{
	struct job *job;
	if (size > SETTING_SCRIPT_LIMIT)
		return -EFBIG;
	int status = lock_setting(fs, node, &job);
	if (status < 0)
		return status;
	autofree char *path = settings_path(job, name);
	status = truncate(path, size) < 0 ? -errno : 0;
	unlock_setting(job);
	return status;
}

static int truncate_secret(struct floatfs *fs, const struct node *node, off_t size)
{
	if (size > 0)
		return -EINVAL;
	autoclose int fd = secrets_open_value(fs, node->serial, O_TRUNC);
	return fd < 0 ? fd : 0;
}

/* Sizes of settings; O_TRUNC on a control comes so too, and means nothing. Times may be touched, modes and
 * owners not. */
static void op_setattr(fuse_req_t request, fuse_ino_t inode, struct stat *attr, int to_set,
		       struct fuse_file_info *info)
{
	struct node node = tree_node(inode);
	const struct tree_entry *entry = tree_entry(node.kind);
	int status = entry ? 0 : -ENOENT;
	(void)info;
	if (files_holds(&node))
		status = -EROFS;
	else if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		status = -EPERM;
	if (status == 0 && (to_set & FUSE_SET_ATTR_SIZE)) {
		if (entry->how == HOW_SETTING)
			status = truncate_setting(fs_of(request), &node, entry->name, attr->st_size);
		else if (entry->how == HOW_SECRET)
			status = truncate_secret(fs_of(request), &node, attr->st_size);
		else if (entry->how != HOW_CONTROL)
			status = -EACCES;
	}
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		reply_attr(request, inode);
}

static void op_readlink(fuse_req_t request, fuse_ino_t inode)
{
	struct node node = tree_node(inode);
	if (node.kind == TREE_FILES_ENTRY) {
		files_readlink(fs_of(request), request, &node);
		return;
	}
	autofree char *text = NULL;
	size_t length;
	int status = tree_render(fs_of(request), &node, &text, &length);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		fuse_reply_readlink(request, text);
}

/* Something was made there, or refused: then the user can read why. */
static void reply_made(fuse_req_t request, const struct node *directory, const char *name, int status,
		       const struct error *err)
{
	struct floatfs *fs = fs_of(request);
	struct node node;
	if (status < 0)
		users_set_error(fs, fuse_req_ctx(request)->uid, err->text);
	else
		status = tree_lookup(fs, directory, name, &node);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		reply_entry(request, &node);
}

/* A directory is made in jobs (a draft) or, by root, in images. */
static void op_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct floatfs *fs = fs_of(request);
	struct caller caller = caller_of(request);
	struct node directory = tree_node(parent);
	struct error err = { 0 };
	int status;
	(void)mode;
	if (directory.kind == TREE_JOBS)
		status = job_create_draft(fs, name, &caller, &err);
	else if (directory.kind == TREE_IMAGES)
		status = images_create(fs, name, &err);
	else if (files_holds(&directory))
		status = error_set(&err, EROFS, "the files of a job that has ended are read only");
	else
		status = error_set(&err, EPERM, "directories are made in jobs and in images only");
	reply_made(request, &directory, name, status, &err);
}

/* `rm -r jobs/ID`: what is in the directory of a draft or an ended job goes with it, at the end. */
static int check_removable(struct floatfs *fs, const struct node *directory)
{
	autojob struct job *job =
	    tree_is_below_job(directory) ? job_find_serial(fs, directory->serial) : NULL;
	struct record record;
	if (files_holds(directory))
		return -EROFS;
	if (!job)
		return -EPERM;
	job_snapshot(job, &record);
	return job_is_draft(&record) || job_has_ended(&record) ? 0 : -EBUSY;
}

static void op_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct floatfs *fs = fs_of(request);
	struct node directory = tree_node(parent);
	struct error err = { 0 };
	int status;
	if (directory.kind == TREE_JOBS)
		status = job_forget(fs, name, &err);
	else if (directory.kind == TREE_IMAGES)
		status = images_remove(fs, name, &err);
	else if ((status = check_removable(fs, &directory)) < 0)
		error_set(&err, -status, "this directory cannot be removed");
	else
		files_note_removal(fs, &directory, fuse_req_ctx(request)->pid);
	if (status < 0)
		users_set_error(fs, caller_of(request).uid, err.text);
	fuse_reply_err(request, -status);
}

static void op_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct floatfs *fs = fs_of(request);
	struct node directory = tree_node(parent);
	struct error err = { 0 };
	int status =
	    directory.kind == TREE_SECRETS ? secrets_remove(fs, name, &err) : check_removable(fs, &directory);
	if (status == 0)
		files_note_removal(fs, &directory, fuse_req_ctx(request)->pid);
	fuse_reply_err(request, -status);
}

/* A file is made in secrets only: elsewhere what is in the tree is in its table. */
static void op_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	struct floatfs *fs = fs_of(request);
	struct caller caller = caller_of(request);
	struct node directory = tree_node(parent);
	struct error err = { 0 };
	int status;
	(void)device;
	if (directory.kind == TREE_SECRETS && S_ISREG(mode))
		status = secrets_create(fs, name, &caller, &err);
	else if (files_holds(&directory))
		status = error_set(&err, EROFS, "the files of a job that has ended are read only");
	else
		status = error_set(&err, EPERM, "files are made in secrets only");
	reply_made(request, &directory, name, status, &err);
}

static int open_setting(struct floatfs *fs, const struct node *node, const char *name, int flags,
			struct handle *handle)
{
	bool writing = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	struct job *job = writing ? NULL : job_find_serial(fs, node->serial);
	int status = writing ? lock_setting(fs, node, &job) : job ? 0 : -ENOENT;
	if (status < 0)
		return status;
	autofree char *path = settings_path(job, name);
	handle->fd = open(path, (writing ? O_RDWR : O_RDONLY) | (flags & O_TRUNC) | O_CLOEXEC);
	status = handle->fd < 0 ? -errno : 0;
	if (writing)
		unlock_setting(job);
	else
		job_put(job);
	return status;
}

static void handle_free(struct handle *handle)
{
	if (handle->fd >= 0)
		close(handle->fd);
	pthread_mutex_destroy(&handle->lock);
	free(handle->text);
	free(handle);
}

static int open_node(struct floatfs *fs, const struct node *node, int flags, struct handle *handle)
{
	const struct tree_entry *entry = tree_entry(node->kind);
	bool writing = (flags & O_ACCMODE) != O_RDONLY;
	if (!entry)
		return -ENOENT;
	if (writing && entry->how == HOW_FILES)
		return -EROFS;
	if (entry->how == HOW_SETTING)
		return open_setting(fs, node, entry->name, flags, handle);
	if (entry->how == HOW_SECRET) {
		/* Not even root reads it. */
		handle->fd =
		    (flags & O_ACCMODE) == O_WRONLY ? secrets_open_value(fs, node->serial, flags) : -EACCES;
		return handle->fd < 0 ? take_fd(handle->fd) : 0;
	}
	if (writing && entry->how != HOW_CONTROL)
		return -EACCES;
	handle->seen = tree_change(fs, node);
	return tree_hold(fs, node);
}

static void op_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct handle *handle = calloc(1, sizeof(*handle));
	if (!handle) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	handle->node = node_of(request, inode);
	handle->fd = -1;
	pthread_mutex_init(&handle->lock, NULL);
	int status = open_node(fs_of(request), &handle->node, info->flags, handle);
	if (status < 0) {
		handle_free(handle);
		fuse_reply_err(request, -status);
		return;
	}
	info->fh = (uint64_t)(uintptr_t)handle;
	/* What no longer changes is read once: then the kernel has it. */
	info->keep_cache = tree_is_final(fs_of(request), &handle->node);
	info->direct_io = !info->keep_cache;
	/* A close must not wait for a daemon that is gone. */
	info->noflush = (info->flags & O_ACCMODE) == O_RDONLY;
	if (fuse_reply_open(request, info) == -ENOENT) {
		tree_let_go(fs_of(request), &handle->node);
		handle_free(handle);
	}
}

static struct handle *handle_of(const struct fuse_file_info *info)
{
	return (struct handle *)(uintptr_t)info->fh;
}

static void op_release(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	(void)inode;
	struct handle *handle = handle_of(info);
	notify_drop_poll(fs_of(request)->notify, &handle->node, handle);
	tree_let_go(fs_of(request), &handle->node);
	handle_free(handle);
	fuse_reply_err(request, 0);
}

static void reply_pread(fuse_req_t request, int fd, size_t size, off_t offset)
{
	autofree char *buffer = malloc(size);
	if (!buffer) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	ssize_t got = pread(fd, buffer, size, offset);
	if (got < 0)
		fuse_reply_err(request, errno);
	else
		fuse_reply_buf(request, buffer, (size_t)got);
}

/*
 * Rendered at offset 0 only: a partial read never mixes two states. Two reads of one handle may come at once.
 * With the reply the handle may be released by another thread: from then on nothing of it is touched.
 */
static void read_value(fuse_req_t request, struct handle *handle, size_t size, off_t offset)
{
	struct floatfs *fs = fs_of(request);
	autofree char *part = NULL;
	size_t length = 0;
	pthread_mutex_lock(&handle->lock);
	int status = 0;
	if (offset == 0 || !handle->text) {
		free(take_pointer(handle->text));
		handle->seen = tree_change(fs, &handle->node);
		status = tree_render(fs, &handle->node, &handle->text, &handle->length);
	}
	if (status == 0 && offset >= 0 && (size_t)offset < handle->length) {
		length = size < handle->length - (size_t)offset ? size : handle->length - (size_t)offset;
		part = malloc(length);
		if (part)
			memcpy(part, handle->text + offset, length);
		else
			status = -ENOMEM;
	}
	pthread_mutex_unlock(&handle->lock);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		fuse_reply_buf(request, part, length);
}

static void op_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
		    struct fuse_file_info *info)
{
	struct floatfs *fs = fs_of(request);
	struct handle *handle = handle_of(info);
	const struct tree_entry *entry = tree_entry(handle->node.kind);
	(void)inode;
	if (entry->how == HOW_SETTING) {
		reply_pread(request, handle->fd, size, offset);
	} else if (entry->how == HOW_LIVE || entry->how == HOW_LOG_ENTRY) {
		handle->seen = tree_change(fs, &handle->node);
		autoclose int fd = tree_open_live(fs, &handle->node);
		if (fd < 0)
			fuse_reply_buf(request, NULL, 0);
		else
			reply_pread(request, fd, size, offset);
	} else if (entry->how == HOW_FILES) {
		files_read(fs, request, &handle->node, size, offset);
	} else if (entry->how == HOW_WAIT) {
		notify_park(fs->notify, request, handle->node.serial, size, offset);
	} else {
		read_value(request, handle, size, offset);
	}
}

/* Holes and data: of a file on a volume as they are there; any other is data to its end. Never ENOSYS, which would
 * be the kernel's answer for the whole mount from then on. */
static void op_lseek(fuse_req_t request, fuse_ino_t inode, off_t offset, int whence,
		     struct fuse_file_info *info)
{
	struct node node = handle_of(info)->node;
	struct stat st;
	(void)inode;
	if (node.kind == TREE_FILES_ENTRY) {
		files_seek(fs_of(request), request, &node, offset, whence);
		return;
	}
	int status = tree_stat(fs_of(request), &node, &st);
	if (status == 0 && (offset < 0 || offset >= st.st_size))
		status = -ENXIO;
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		fuse_reply_lseek(request, whence == SEEK_HOLE ? st.st_size : offset);
}

/* One command. The whole count: the rest of a short one would come again, as a command. */
static ssize_t write_control(fuse_req_t request, struct handle *handle, const char *data, size_t size)
{
	struct caller caller = caller_of(request);
	int status = tree_command(fs_of(request), &handle->node, &caller, data, size);
	return status < 0 ? status : (ssize_t)size;
}

static ssize_t write_file(struct handle *handle, const char *data, size_t size, off_t offset, off_t limit)
{
	if (offset + (off_t)size > limit)
		return -EFBIG;
	ssize_t done = pwrite(handle->fd, data, size, offset);
	return done < 0 ? -errno : done;
}

/* The handle may have been opened while it was a draft still. */
static ssize_t write_setting(fuse_req_t request, struct handle *handle, const char *data, size_t size,
			     off_t offset)
{
	struct job *job;
	int status = lock_setting(fs_of(request), &handle->node, &job);
	if (status < 0)
		return status;
	ssize_t done = write_file(handle, data, size, offset, SETTING_SCRIPT_LIMIT);
	unlock_setting(job);
	return done;
}

static void op_write(fuse_req_t request, fuse_ino_t inode, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *info)
{
	struct handle *handle = handle_of(info);
	const struct tree_entry *entry = tree_entry(handle->node.kind);
	ssize_t done;
	(void)inode;
	if (entry->how == HOW_CONTROL)
		done = write_control(request, handle, data, size);
	else if (entry->how == HOW_SETTING)
		done = write_setting(request, handle, data, size, offset);
	else
		done = write_file(handle, data, size, offset, SECRET_LIMIT);
	if (done < 0)
		fuse_reply_err(request, (int)-done);
	else
		fuse_reply_write(request, (size_t)done);
}

static void op_flush(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	(void)inode;
	(void)info;
	fuse_reply_err(request, 0);
}

static void op_fsync(fuse_req_t request, fuse_ino_t inode, int data_only, struct fuse_file_info *info)
{
	struct handle *handle = handle_of(info);
	(void)inode;
	(void)data_only;
	fuse_reply_err(request, handle->fd >= 0 && fsync(handle->fd) < 0 ? errno : 0);
}

static void op_poll(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info,
		    struct fuse_pollhandle *pollhandle)
{
	struct floatfs *fs = fs_of(request);
	struct handle *handle = handle_of(info);
	const struct tree_entry *entry = tree_entry(handle->node.kind);
	(void)inode;
	unsigned events = POLLIN | POLLOUT;
	if (entry->poll) {
		/* As on sysfs: it is told until the handle has read what changed. */
		bool changed = tree_change(fs, &handle->node) != handle->seen;
		events = POLLOUT | (changed ? POLLIN | POLLPRI : 0);
		if (pollhandle)
			notify_add_poll(fs->notify, &handle->node, handle, handle->seen,
					take_pointer(pollhandle));
	}
	if (pollhandle)
		fuse_pollhandle_destroy(pollhandle);
	fuse_reply_poll(request, events);
}

/* The kernel takes the lesser of this and what mount_session set. */
static void op_init(void *context, struct fuse_conn_info *connection)
{
	(void)context;
	connection->max_readahead = READAHEAD;
	/* Always: `ls -l` reads all names first, and the kernel's own guess asks for each one's attributes by itself
	 * but for the first few. */
	connection->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mkdir = op_mkdir,
	.rmdir = op_rmdir,
	.unlink = op_unlink,
	.mknod = op_mknod,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.lseek = op_lseek,
	.release = op_release,
	.poll = op_poll,
	.opendir = fuse_dir_open,
	.readdir = fuse_dir_read,
	.readdirplus = fuse_dir_read_plus,
	.releasedir = fuse_dir_release,
};

/* A daemon that was killed leaves a mount that answers ENOTCONN, and over which none can be made. */
static int clear_stale_mount(const char *mountpoint, struct error *err)
{
	struct statx st;
	/* Not what the kernel keeps: whether somebody answers. */
	if (statx(AT_FDCWD, mountpoint, AT_STATX_FORCE_SYNC, STATX_TYPE, &st) == 0)
		return S_ISDIR(st.stx_mode) ? 0
					    : error_set(err, ENOTDIR, "%s is not a directory", mountpoint);
	if (errno == ENOTCONN || errno == ECONNABORTED) {
		log_info("clearing the stale mount on %s", mountpoint);
		if (umount2(mountpoint, MNT_DETACH) == 0)
			return 0;
	}
	return error_sys(err, errno, "cannot mount on %s", mountpoint);
}

/* A mount's own readahead is 128 KiB, and FUSE can only lower it. What the kernel knows of the mount is asked: nobody
 * serves it yet. */
static void raise_readahead(const char *mountpoint)
{
	struct statx st;
	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, 0, &st) < 0)
		return;
	autofree char *path =
	    format_string("/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major, st.stx_dev_minor);
	autofree char *text = format_string("%d", READAHEAD >> 10);
	int status = file_write(path, text);
	if (status < 0)
		log_info("%s: %s", path, strerror(-status));
}

/*
 * As libfuse mounts for root, but the mount is ours to undo: libfuse would unmount whatever stands there later, when
 * a user's umount came first.
 */
static int mount_session(struct fuse_session *session, const char *mountpoint, bool private_mount,
			 struct error *err)
{
	char data[120];
	autoclose int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, errno, "cannot open /dev/fuse");
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions%s", fd,
		 private_mount ? "" : ",allow_other");
	if (mount("floatfs", mountpoint, "fuse.floatfs", MS_NOSUID | MS_NODEV, data) < 0)
		return error_sys(err, errno, "cannot mount on %s", mountpoint);
	raise_readahead(mountpoint);
	int status = fuse_device_attach(session, fd);
	if (status < 0) {
		umount2(mountpoint, MNT_DETACH);
		return error_sys(err, -status, "libfuse does not serve %s", mountpoint);
	}
	(void)take_fd(fd); /* the session's */
	return 0;
}

int fuse_mount_open(struct floatfs *fs, struct fuse_mount **out, struct error *err)
{
	int status = clear_stale_mount(fs->options.mountpoint, err);
	if (status < 0)
		return status;
	autofree char *mountpoint = realpath(fs->options.mountpoint, NULL);
	if (!mountpoint)
		return error_sys(err, errno, "cannot mount on %s", fs->options.mountpoint);
	struct fuse_mount *mount = calloc(1, sizeof(*mount));
	if (!mount)
		return error_set(err, ENOMEM, "out of memory");
	mount->fs = fs;
	char *words[] = { (char *)"floatfs" };
	struct fuse_args args = FUSE_ARGS_INIT(array_length(words), words);
	mount->session = fuse_session_new(&args, &operations, sizeof(operations), mount);
	fuse_opt_free_args(&args);
	if (!mount->session) {
		free(mount);
		return error_set(err, EIO, "libfuse refused to start");
	}
	status = mount_session(mount->session, mountpoint, fs->options.private_mount, err);
	if (status < 0) {
		fuse_session_destroy(mount->session);
		free(mount);
		return status;
	}
	mount->mountpoint = take_pointer(mountpoint);
	*out = mount;
	return 0;
}

int fuse_mount_serve(struct fuse_mount *mount, struct error *err)
{
	struct fuse_watch *watch = NULL;
	if (fuse_set_signal_handlers(mount->session) != 0)
		return error_set(err, EIO, "cannot set signal handlers");
	int watched = fuse_watch_start(mount->mountpoint, &watch, err);
	if (watched < 0) {
		fuse_remove_signal_handlers(mount->session);
		return watched;
	}
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	fuse_loop_cfg_set_max_threads(config, WORKERS_MAX);
	fuse_loop_cfg_set_idle_threads(config, WORKERS_IDLE);
	int status = fuse_session_loop_mt(mount->session, config);
	fuse_loop_cfg_destroy(config);
	fuse_watch_stop(watch);
	fuse_remove_signal_handlers(mount->session);
	return status < 0 ? error_sys(err, -status, "serving %s failed", mount->fs->options.mountpoint) : 0;
}

void fuse_mount_close(struct fuse_mount *mount)
{
	if (fuse_watch_is_mounted(mount->mountpoint) && umount2(mount->mountpoint, MNT_DETACH) < 0)
		log_info("cannot unmount %s: %s", mount->mountpoint, strerror(errno));
	fuse_session_destroy(mount->session);
	free(mount->mountpoint);
	free(mount);
}
