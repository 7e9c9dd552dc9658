#include "agent/subvolume.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/volume.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"

enum { CLEANER_MS = 100 };

/* An O_PATH descriptor, or -errno. */
static int mount_top(const char *device)
{
	autoclose int fs = fsopen("btrfs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "subvol", "/", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int top = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODEV);
	return top < 0 ? -errno : top;
}

int subvolume_open_top(const char *serial, int timeout_ms, int *top, struct error *err)
{
	autofree char *device = NULL;
	int status = volume_find(serial, timeout_ms, &device, err);
	if (status < 0)
		return status;
	autoclose int mounted = mount_top(device);
	if (mounted < 0)
		return error_sys(err, -mounted, "cannot mount the top of the volume %s", device);
	*top = openat(mounted, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *top < 0 ? error_sys(err, errno, "cannot open the top of the volume %s", device) : 0;
}

bool subvolume_exists(int top, const char *name)
{
	struct stat st;
	return fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int64_t subvolume_made_ns(int subvolume)
{
	struct btrfs_ioctl_get_subvol_info_args info = { 0 };
	if (ioctl(subvolume, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0)
		return 0;
	return (int64_t)info.otime.sec * 1000000000 + info.otime.nsec;
}

int subvolume_make(int top, const char *name, struct error *err)
{
	struct btrfs_ioctl_vol_args args = { 0 };
	snprintf(args.name, sizeof(args.name), "%s", name);
	if (ioctl(top, BTRFS_IOC_SUBVOL_CREATE, &args) < 0 && errno != EEXIST)
		return error_sys(err, errno, "cannot make the subvolume %s", name);
	return 0;
}

int subvolume_snapshot(int top, const char *from, const char *name, bool read_only, struct error *err)
{
	autoclose int source = openat(top, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0)
		return error_sys(err, errno, "cannot open the subvolume %s", from);
	struct btrfs_ioctl_vol_args_v2 args = { .fd = source, .flags = read_only ? BTRFS_SUBVOL_RDONLY : 0 };
	snprintf(args.name, sizeof(args.name), "%s", name);
	if (ioctl(top, BTRFS_IOC_SNAP_CREATE_V2, &args) < 0)
		return error_sys(err, errno, "cannot take a snapshot of the subvolume %s", from);
	return 0;
}

int subvolume_destroy(int top, const char *name, struct error *err)
{
	struct btrfs_ioctl_vol_args args = { 0 };
	snprintf(args.name, sizeof(args.name), "%s", name);
	if (ioctl(top, BTRFS_IOC_SNAP_DESTROY, &args) < 0 && errno != ENOENT)
		return error_sys(err, errno, "cannot delete the subvolume %s", name);
	return 0;
}

void subvolume_hurry(int top)
{
	/* The first wakes the cleaner, too (btrfs_ioctl of fs/btrfs/ioctl.c); what that lets go of is free after the second. */
	for (int i = 0; i < 2; i++) {
		if (ioctl(top, BTRFS_IOC_SYNC) < 0)
			log_debug("a volume was not synced: %s", strerror(errno));
		if (i == 0)
			clock_sleep_ms(CLEANER_MS);
	}
}

int subvolume_rename(int top, const char *from, const char *to, struct error *err)
{
	if (renameat2(top, from, top, to, RENAME_NOREPLACE) < 0)
		return error_sys(err, errno, "cannot rename the subvolume %s to %s", from, to);
	return 0;
}
