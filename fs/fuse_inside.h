/* For the files fuse*.c alone: the mount, and what its requests share. */
#pragma once

#include <fuse_lowlevel.h>
#include <stdbool.h>

#include "fs/fuse.h"
#include "fs/fuse_polls.h"
#include "fs/fuse_through.h"
#include "fs/handles.h"
#include "fs/holder.h"
#include "fs/tree.h"

/* What libfuse's requests carry as their user data. */
struct fuse_mount {
	struct floatfs *fs;
	struct fuse_session *session; /* NULL until it is mounted */
	char *mountpoint;             /* as the kernel names it */
	struct holder *holder;
	struct fuse_polls *polls;
	struct fuse_through *through; /* once it is mounted */
	struct handles *files, *directories;
	bool taken_over;   /* from a floatfs that was here before us */
	bool ends_with_us; /* not yet, where we have only begun to take it over: the next floatfs may */
};

extern const struct fuse_lowlevel_ops fuse_operations; /* fuse.c */

static inline struct floatfs *fuse_fs_of(fuse_req_t request)
{
	struct fuse_mount *mount = fuse_req_userdata(request);
	return mount->fs;
}

struct caller fuse_caller_of(fuse_req_t request);
struct node fuse_node_of(fuse_req_t request, fuse_ino_t inode);

/* fuse_file.c: open files. */
void fuse_file_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info);
void fuse_file_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
		    struct fuse_file_info *info);
void fuse_file_write(fuse_req_t request, fuse_ino_t inode, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *info);
void fuse_file_seek(fuse_req_t request, fuse_ino_t inode, off_t offset, int whence,
		    struct fuse_file_info *info);
void fuse_file_flush(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info);
void fuse_file_sync(fuse_req_t request, fuse_ino_t inode, int data_only, struct fuse_file_info *info);
void fuse_file_poll(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info,
		    struct fuse_pollhandle *pollhandle);
void fuse_file_release(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info);
/* Of a node that is not open, or is. */
int fuse_file_truncate(struct floatfs *fs, const struct node *node, off_t size);
/* For handles_free. */
void fuse_file_free(void *file);

/* fuse_dir.c: open directories. A directory's names are taken when it is opened. */
void fuse_dir_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info);
/* With the attributes of what is in files. */
void fuse_dir_read_plus(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
			struct fuse_file_info *info);
void fuse_dir_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
		   struct fuse_file_info *info);
void fuse_dir_release(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info);
void fuse_dir_free(void *directory);
