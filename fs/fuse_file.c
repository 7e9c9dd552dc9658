/* Open files: what is read, written and polled. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/fuse_inside.h"
#include "fs/fuse_wire.h"
#include "fs/job.h"
#include "fs/notify.h"
#include "fs/secrets.h"
#include "fs/settings.h"
#include "lib/cleanup.h"
#include "lib/file.h"

/* What no handle has seen. */
#define NOTHING_SEEN (UINT64_MAX - 1)

/* A smaller file is read as fast from the kernel's cache, and need not be opened for it. */
enum { PASSED_SIZE_MIN = 1 << 20 };

/* One open(2). */
struct handle {
	struct node node;
	pthread_mutex_t lock; /* guards text and poll */
	char *text;           /* a value, rendered by the last read at offset 0 */
	size_t length;
	uint32_t poll;         /* its place in fuse_polls.h; 0 */
	int fd;                /* a setting; -1 */
	_Atomic uint64_t seen; /* what poll last told of */
};

/* ---- settings ---- */

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

int fuse_file_truncate(struct floatfs *fs, const struct node *node, off_t size)
{
	const struct tree_entry *entry = tree_entry(node->kind);
	if (entry->how == HOW_SETTING)
		return truncate_setting(fs, node, entry->name, size);
	if (entry->how == HOW_SECRET)
		return truncate_secret(fs, node, size);
	return entry->how == HOW_CONTROL ? 0 : -EACCES;
}

/* ---- handles ---- */

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

static struct handle *handle_new(const struct node *node)
{
	struct handle *handle = calloc(1, sizeof(*handle));
	if (!handle)
		return NULL;
	handle->node = *node;
	handle->fd = -1;
	pthread_mutex_init(&handle->lock, NULL);
	return handle;
}

void fuse_file_free(void *file)
{
	struct handle *handle = file;
	if (handle->fd >= 0)
		close(handle->fd);
	pthread_mutex_destroy(&handle->lock);
	free(handle->text);
	free(handle);
}

/* Is it read past floatfs, or may it be in time? */
static bool is_log(const struct tree_entry *entry)
{
	return (entry->how == HOW_LIVE || entry->how == HOW_LOG_ENTRY) && !entry->per_user;
}

/* Its number for fuse_wire_pass, or 0. */
static uint32_t count_open(struct fuse_mount *mount, const struct node *node, fuse_ino_t inode, bool final)
{
	struct stat st;
	if (!is_log(tree_entry(node->kind)))
		return 0;
	autoclose int content = final ? tree_open_live(mount->fs, node) : -1;
	bool large = content >= 0 && fstat(content, &st) == 0 && st.st_size >= PASSED_SIZE_MIN;
	return fuse_through_open(mount->through, inode, large ? content : -1);
}

static void let_go(struct fuse_mount *mount, const struct node *node, fuse_ino_t inode, uint64_t number)
{
	tree_let_go(mount->fs, node);
	if (is_log(tree_entry(node->kind)))
		fuse_through_release(mount->through, inode, handles_is_passed(number));
}

void fuse_file_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct fuse_mount *mount = fuse_req_userdata(request);
	struct node node = fuse_node_of(request, inode);
	const struct tree_entry *entry = tree_entry(node.kind);
	struct handle *handle = handle_new(&node);
	int status = handle ? open_node(mount->fs, &node, info->flags, handle) : -ENOMEM;
	uint32_t backing = 0;
	if (status == 0) {
		_Atomic uint64_t *counter = &holder_page(mount->holder)->last_handle;
		info->keep_cache = tree_is_final(mount->fs, &node);
		backing = count_open(mount, &node, inode, info->keep_cache);
		info->fh = backing           ? handles_number_passed(counter)
			   : entry->per_user ? handles_number_of(counter, node.generation)
					     : handles_number(counter);
		status = handles_put(mount->files, info->fh, handle) ? 0 : -ENOMEM;
		if (status < 0)
			let_go(mount, &node, inode, info->fh);
	}
	if (status < 0) {
		fuse_reply_err(request, -status);
		if (handle)
			fuse_file_free(handle);
		return;
	}
	/* What no longer changes is read once: then the kernel has it. */
	info->direct_io = !info->keep_cache;
	/* A close must not wait for a daemon that is gone. */
	info->noflush = (info->flags & O_ACCMODE) == O_RDONLY;
	fuse_wire_pass(backing);
	if (fuse_reply_open(request, info) == -ENOENT) {
		let_go(mount, &node, inode, info->fh);
		fuse_file_free(handles_take(mount->files, info->fh));
	}
}

/* As it may have been opened: the kernel sees to it that who only reads does not write. */
static int open_again(struct floatfs *fs, struct handle *handle)
{
	const struct tree_entry *entry = tree_entry(handle->node.kind);
	int flags = entry && entry->how == HOW_SETTING  ? O_RDWR
		    : entry && entry->how == HOW_SECRET ? O_WRONLY
							: O_RDONLY;
	int status = open_node(fs, &handle->node, flags, handle);
	if (status == -EROFS)
		status = open_node(fs, &handle->node, O_RDONLY, handle);
	handle->seen = NOTHING_SEEN;
	return status;
}

/*
 * NULL: the request was answered with an error. What was opened with a floatfs that is gone is opened now, as if nothing of it
 * had been read: a value is rendered again, and a poll tells of it once.
 */
static struct handle *handle_of(fuse_req_t request, fuse_ino_t inode, const struct fuse_file_info *info)
{
	struct fuse_mount *mount = fuse_req_userdata(request);
	struct handle *found = handles_find(mount->files, info->fh);
	if (found)
		return found;
	struct node node = tree_node(inode);
	int64_t uid = handles_uid(info->fh);
	if (uid >= 0)
		node.generation = (uint32_t)uid;
	struct handle *handle = handle_new(&node);
	int status = handle ? open_again(mount->fs, handle) : -ENOMEM;
	if (status == 0)
		found = handles_put(mount->files, info->fh, handle);
	/* Somebody else was first, or there is none. */
	if (status == 0 && found != handle)
		tree_let_go(mount->fs, &node);
	if (handle && found != handle)
		fuse_file_free(handle);
	if (!found)
		fuse_reply_err(request, status < 0 ? -status : ENOMEM);
	return found;
}

/* Of one that nobody used since the floatfs is gone that it was opened with, nothing is there. */
void fuse_file_release(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct fuse_mount *mount = fuse_req_userdata(request);
	struct handle *handle = handles_take(mount->files, info->fh);
	struct node node = tree_node(inode);
	const struct tree_entry *entry = tree_entry(node.kind);
	if (handle) {
		notify_drop_poll(mount->fs->notify, &handle->node, handle);
		fuse_polls_drop(mount->polls, handle->poll);
		tree_let_go(mount->fs, &handle->node);
		fuse_file_free(handle);
	}
	/* Whoever opened it. */
	if (entry && is_log(entry))
		fuse_through_release(mount->through, inode, handles_is_passed(info->fh));
	fuse_reply_err(request, 0);
}

/* ---- reading ---- */

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
	struct floatfs *fs = fuse_fs_of(request);
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

void fuse_file_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
		    struct fuse_file_info *info)
{
	struct floatfs *fs = fuse_fs_of(request);
	struct handle *handle = handle_of(request, inode, info);
	if (!handle)
		return;
	const struct tree_entry *entry = tree_entry(handle->node.kind);
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
void fuse_file_seek(fuse_req_t request, fuse_ino_t inode, off_t offset, int whence,
		    struct fuse_file_info *info)
{
	struct handle *handle = handle_of(request, inode, info);
	struct stat st;
	if (!handle)
		return;
	struct node node = handle->node;
	if (node.kind == TREE_FILES_ENTRY) {
		files_seek(fuse_fs_of(request), request, &node, offset, whence);
		return;
	}
	int status = tree_stat(fuse_fs_of(request), &node, &st);
	if (status == 0 && (offset < 0 || offset >= st.st_size))
		status = -ENXIO;
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		fuse_reply_lseek(request, whence == SEEK_HOLE ? st.st_size : offset);
}

/* ---- writing, polling ---- */

/* One command. The whole count: the rest of a short one would come again, as a command. */
static ssize_t write_control(fuse_req_t request, struct handle *handle, const char *data, size_t size)
{
	struct caller caller = fuse_caller_of(request);
	int status = tree_command(fuse_fs_of(request), &handle->node, &caller, data, size);
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
	int status = lock_setting(fuse_fs_of(request), &handle->node, &job);
	if (status < 0)
		return status;
	ssize_t done = write_file(handle, data, size, offset, SETTING_SCRIPT_LIMIT);
	unlock_setting(job);
	return done;
}

void fuse_file_write(fuse_req_t request, fuse_ino_t inode, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *info)
{
	struct handle *handle = handle_of(request, inode, info);
	if (!handle)
		return;
	const struct tree_entry *entry = tree_entry(handle->node.kind);
	ssize_t done;
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

void fuse_file_flush(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	(void)inode;
	(void)info;
	fuse_reply_err(request, 0);
}

void fuse_file_sync(fuse_req_t request, fuse_ino_t inode, int data_only, struct fuse_file_info *info)
{
	struct handle *handle = handle_of(request, inode, info);
	(void)data_only;
	if (handle)
		fuse_reply_err(request, handle->fd >= 0 && fsync(handle->fd) < 0 ? errno : 0);
}

/* A successor wakes it. */
static void note_poll(fuse_req_t request, struct handle *handle)
{
	struct fuse_mount *mount = fuse_req_userdata(request);
	pthread_mutex_lock(&handle->lock);
	if (!handle->poll)
		handle->poll = fuse_polls_add(mount->polls, fuse_wire_poll());
	pthread_mutex_unlock(&handle->lock);
}

void fuse_file_poll(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info,
		    struct fuse_pollhandle *pollhandle)
{
	struct floatfs *fs = fuse_fs_of(request);
	struct handle *handle = handle_of(request, inode, info);
	const struct tree_entry *entry = handle ? tree_entry(handle->node.kind) : NULL;
	unsigned events = POLLIN | POLLOUT;
	if (!handle) {
		if (pollhandle)
			fuse_pollhandle_destroy(pollhandle);
		return;
	}
	if (entry->poll) {
		/* As on sysfs: it is told until the handle has read what changed. */
		bool changed = tree_change(fs, &handle->node) != handle->seen;
		events = POLLOUT | (changed ? POLLIN | POLLPRI : 0);
		if (pollhandle) {
			note_poll(request, handle);
			notify_add_poll(fs->notify, &handle->node, handle, handle->seen,
					take_pointer(pollhandle));
		}
	}
	if (pollhandle)
		fuse_pollhandle_destroy(pollhandle);
	fuse_reply_poll(request, events);
}
