/*
 * Volumes: block devices found by serial, btrfs on them, mounted and unmounted by system call. Any thread;
 * one thread a volume at a time (the job's operation lock).
 *
 * A volume is mounted by one host at a time. Before it is mounted its device is opened with O_EXCL, which
 * fails while anybody has it mounted; after unmounting the same open proves that it was let go of. (Where
 * hosts share a kernel a second mount would give the very same file system: the exclusive open is what
 * catches that.)
 */
#pragma once

#include <stdbool.h>

#include "lib/error.h"

/* The device of a serial, waited for; *device is the caller's to free. */
int volume_find(const char *serial, int timeout_ms, char **device, struct error *err);

/* Make a btrfs on a blank device; one that has a btrfs is left as it is, anything else on it is refused. */
int volume_format(const char *device, struct error *err);

/* -EBUSY while somebody has it mounted, after asking for timeout_ms. */
int volume_claim(const char *device, int timeout_ms, struct error *err);

/* Mount a btrfs (its subvolume, or its top with NULL) at a directory; makes the directory. read_only: to be looked at,
 * nothing of it is run. */
int volume_mount(const char *device, const char *subvolume, const char *directory, bool read_only,
		 struct error *err);

/* Mount a read-only squashfs or erofs image. */
int volume_mount_image(const char *device, const char *directory, struct error *err);

/* syncfs of what is mounted there. */
int volume_sync(const char *directory, struct error *err);

/* umount2 without MNT_DETACH, asked again while busy; not mounted is success. The error names who holds it.
 */
int volume_unmount(const char *directory, int timeout_ms, struct error *err);
