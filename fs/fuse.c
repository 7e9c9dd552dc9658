/* The requests of files and names, answered from the tree. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/fuse_inside.h"
#include "fs/fuse_wire.h"
#include "fs/images.h"
#include "fs/job.h"
#include "fs/notify.h"
#include "fs/secrets.h"
#include "fs/settings.h"
#include "fs/tree.h"
#include "fs/users.h"
#include "lib/cleanup.h"
#include "lib/file.h"

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

struct caller fuse_caller_of(fuse_req_t request)
{
	const struct fuse_ctx *context = fuse_req_ctx(request);
	struct fuse_mount *mount = fuse_req_userdata(request);
	struct caller caller = {
		.uid = context->uid, .gid = context->gid, .pid = context->pid, .again = fuse_wire_is_again()
	};
	snprintf(caller.request, sizeof(caller.request), "%s-%llu", holder_page(mount->holder)->id,
		 (unsigned long long)fuse_wire_unique());
	return caller;
}

struct node fuse_node_of(fuse_req_t request, fuse_ino_t inode)
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
	entry.attr_timeout = attr_timeout(fuse_fs_of(request), node);
	struct node seen = fuse_node_of(request, tree_id(node));
	int status = tree_stat(fuse_fs_of(request), &seen, &entry.attr);
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
		files_lookup(fuse_fs_of(request), request, &directory, name);
		return;
	}
	int status = tree_lookup(fuse_fs_of(request), &directory, name, &node);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		reply_entry(request, &node);
}

static void reply_attr(fuse_req_t request, fuse_ino_t inode)
{
	struct stat st;
	struct node node = fuse_node_of(request, inode);
	if (node.kind == TREE_FILES_ENTRY) {
		files_stat(fuse_fs_of(request), request, &node);
		return;
	}
	double timeout = attr_timeout(fuse_fs_of(request), &node);
	int status = tree_stat(fuse_fs_of(request), &node, &st);
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
	if (status == 0 && (to_set & FUSE_SET_ATTR_SIZE))
		status = fuse_file_truncate(fuse_fs_of(request), &node, attr->st_size);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		reply_attr(request, inode);
}

static void op_readlink(fuse_req_t request, fuse_ino_t inode)
{
	struct node node = tree_node(inode);
	if (node.kind == TREE_FILES_ENTRY) {
		files_readlink(fuse_fs_of(request), request, &node);
		return;
	}
	autofree char *text = NULL;
	size_t length;
	int status = tree_render(fuse_fs_of(request), &node, &text, &length);
	if (status < 0)
		fuse_reply_err(request, -status);
	else
		fuse_reply_readlink(request, text);
}

/* Something was made there, or refused: then the user can read why. */
static void reply_made(fuse_req_t request, const struct node *directory, const char *name, int status,
		       const struct error *err)
{
	struct floatfs *fs = fuse_fs_of(request);
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

/* The caller asks again, and it is his. */
static bool was_made_before(struct floatfs *fs, const struct node *directory, const char *name,
			    const struct caller *caller)
{
	struct node node;
	struct stat st;
	return caller->again && tree_lookup(fs, directory, name, &node) == 0 &&
	       tree_stat(fs, &node, &st) == 0 && st.st_uid == caller->uid;
}

/* A directory is made in jobs (a draft) or, by root, in images. */
static void op_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct floatfs *fs = fuse_fs_of(request);
	struct caller caller = fuse_caller_of(request);
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
	if (status == -EEXIST && was_made_before(fs, &directory, name, &caller))
		status = 0;
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
	struct floatfs *fs = fuse_fs_of(request);
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
	if (status == -ENOENT && fuse_wire_is_again())
		status = 0;
	if (status < 0)
		users_set_error(fs, fuse_req_ctx(request)->uid, err.text);
	fuse_reply_err(request, -status);
}

static void op_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct floatfs *fs = fuse_fs_of(request);
	struct node directory = tree_node(parent);
	struct error err = { 0 };
	int status =
	    directory.kind == TREE_SECRETS ? secrets_remove(fs, name, &err) : check_removable(fs, &directory);
	if (status == 0)
		files_note_removal(fs, &directory, fuse_req_ctx(request)->pid);
	if (status == -ENOENT && fuse_wire_is_again())
		status = 0;
	fuse_reply_err(request, -status);
}

/* A file is made in secrets only: elsewhere what is in the tree is in its table. */
static void op_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	struct floatfs *fs = fuse_fs_of(request);
	struct caller caller = fuse_caller_of(request);
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
	if (status == -EEXIST && was_made_before(fs, &directory, name, &caller))
		status = 0;
	reply_made(request, &directory, name, status, &err);
}

/* The kernel takes the lesser of this and what fuse_mount.c set. What is asked here stays asked as long as the mount
 * lives: a change is another HOLDER_VERSION. */
static void op_init(void *context, struct fuse_conn_info *connection)
{
	(void)context;
	connection->max_readahead = FUSE_READAHEAD;
	/* Always: `ls -l` reads all names first, and the kernel's own guess asks for each one's attributes by itself
	 * but for the first few. */
	connection->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
}

const struct fuse_lowlevel_ops fuse_operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mkdir = op_mkdir,
	.rmdir = op_rmdir,
	.unlink = op_unlink,
	.mknod = op_mknod,
	.open = fuse_file_open,
	.read = fuse_file_read,
	.write = fuse_file_write,
	.flush = fuse_file_flush,
	.fsync = fuse_file_sync,
	.lseek = fuse_file_seek,
	.release = fuse_file_release,
	.poll = fuse_file_poll,
	.opendir = fuse_dir_open,
	.readdir = fuse_dir_read,
	.readdirplus = fuse_dir_read_plus,
	.releasedir = fuse_dir_release,
};
