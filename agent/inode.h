/* Files by their numbers on a volume (btrfs), whatever their names are. */
#pragma once

#include <stdint.h>

/* The subvolume that a descriptor is in: 0, or -EOPNOTSUPP where it is on no btrfs, -errno. */
int inode_subvolume(int fd, uint64_t *subvolume);

/* place: a descriptor of anything on that volume, not O_PATH. A descriptor, or -errno (ESTALE: there is no such file); caller closes. */
int inode_open(int place, uint64_t subvolume, uint64_t number, int flags);
