/* opendir, readdir, releasedir: a directory's names are taken when it is opened. */
#pragma once

#include <fuse_lowlevel.h>

void fuse_dir_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info);
/* With the attributes of what is in files. */
void fuse_dir_read_plus(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
			struct fuse_file_info *info);
void fuse_dir_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
		   struct fuse_file_info *info);
void fuse_dir_release(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info);
