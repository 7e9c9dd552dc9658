#include "agent/inode.h"

#include <errno.h>
#include <fcntl.h>

enum {
	/* linux/exportfs.h, FILEID_BTRFS_WITHOUT_PARENT: inode, subvolume (64 bits each), generation (32). */
	HANDLE_TYPE = 0x4d,
	HANDLE_BYTES = 20,
};

union handle {
	struct file_handle head;
	struct {
		struct file_handle head;
		uint64_t inode, subvolume;
		uint32_t generation;
	} __attribute__((packed)) btrfs;
};

int inode_subvolume(int fd, uint64_t *subvolume)
{
	union handle handle = { .head.handle_bytes = HANDLE_BYTES };
	int mount_id;
	if (name_to_handle_at(fd, "", &handle.head, &mount_id, AT_EMPTY_PATH) < 0)
		return errno == EOVERFLOW ? -EOPNOTSUPP : -errno;
	if (handle.head.handle_type != HANDLE_TYPE || handle.head.handle_bytes != HANDLE_BYTES)
		return -EOPNOTSUPP;
	*subvolume = handle.btrfs.subvolume;
	return 0;
}

/* A generation of 0 is any: inode numbers are not used twice (fs/btrfs/export.c, btrfs_get_dentry). */
int inode_open(int place, uint64_t subvolume, uint64_t number, int flags)
{
	union handle handle = { .btrfs = { .inode = number, .subvolume = subvolume } };
	handle.head.handle_bytes = HANDLE_BYTES;
	handle.head.handle_type = HANDLE_TYPE;
	int fd = open_by_handle_at(place, &handle.head, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
