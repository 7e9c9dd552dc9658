#include "agent/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/proc.h"

enum {
	FORMAT_TIMEOUT_MS = 120000,
	SUPERBLOCK_MAGIC_AT = 0x10040, /* struct btrfs_super_block.magic, superblock at 64 KiB */
};

static void sleep_us(long us)
{
	nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

int volume_find(const char *serial, int timeout_ms, char **device, struct error *err)
{
	autofree char *path = format_string("/dev/disk/by-id/float-%s", serial);
	int64_t end = clock_monotonic_ms() + timeout_ms;
	for (;;) {
		struct stat st;
		if (stat(path, &st) == 0 && S_ISBLK(st.st_mode)) {
			*device = take_pointer(path);
			return 0;
		}
		if (clock_monotonic_ms() >= end)
			return error_set(err, ENODEV, "the volume %s is not attached to this host", serial);
		sleep_us(2000);
	}
}

static int has_btrfs(const char *device)
{
	char magic[8];
	autoclose int fd = open(device, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got = pread(fd, magic, sizeof(magic), SUPERBLOCK_MAGIC_AT);
	if (got < 0)
		return -errno;
	return got == sizeof(magic) && memcmp(magic, "_BHRfS_M", sizeof(magic)) == 0;
}

int volume_format(const char *device, struct error *err)
{
	int status = has_btrfs(device);
	if (status < 0)
		return error_sys(err, -status, "cannot read the volume %s", device);
	if (status == 1)
		return 0;
	/*
	 * Without -f: mkfs refuses a device that holds anything that it knows. One copy of the metadata: the
	 * device below keeps what it is given, and the job gets the room. Blank already: nothing to discard.
	 */
	struct proc_options options = { .timeout_ms = FORMAT_TIMEOUT_MS };
	status = proc_run((const char *const[]){ "mkfs.btrfs", "-q", "-K", "-m", "single", device, NULL },
			  &options, err);
	if (status < 0 && err)
		error_prefix(err, "cannot make a file system on %s: ", device);
	return status;
}

int volume_claim(const char *device, int timeout_ms, struct error *err)
{
	int64_t end = clock_monotonic_ms() + timeout_ms;
	for (;;) {
		autoclose int fd = open(device, O_RDWR | O_EXCL | O_CLOEXEC);
		if (fd >= 0)
			return 0;
		if (errno != EBUSY)
			return error_sys(err, errno, "cannot open the volume %s", device);
		if (clock_monotonic_ms() >= end)
			return error_set(err, EBUSY, "the volume %s is still mounted somewhere", device);
		sleep_us(500);
	}
}

int volume_mount(const char *device, const char *subvolume, const char *directory, bool read_only,
		 struct error *err)
{
	/*
	 * noatime: a read must not dirty metadata that the frozen section then has to write. nodiscard:
	 * blocks are given back when the volume is deleted, not one by one inside an unmount. Barriers and
	 * the commit interval stay as they are: the volume is synced before the freeze.
	 */
	autofree char *options =
	    format_string("nodiscard%s%s", subvolume ? ",subvol=/" : "", subvolume ? subvolume : "");
	int status = file_make_directories(directory, 0755);
	if (status < 0)
		return error_sys(err, -status, "cannot make %s", directory);
	unsigned long flags = MS_NOATIME | MS_NODEV | (read_only ? MS_RDONLY | MS_NOSUID | MS_NOEXEC : 0);
	if (mount(device, directory, "btrfs", flags, options) < 0)
		return error_sys(err, errno, "cannot mount the volume %s at %s", device, directory);
	return 0;
}

int volume_mount_image(const char *device, const char *directory, struct error *err)
{
	static const char *const types[] = { "squashfs", "erofs" };
	int status = file_make_directories(directory, 0755);
	if (status < 0)
		return error_sys(err, -status, "cannot make %s", directory);
	for (size_t i = 0; i < array_length(types); i++) {
		if (mount(device, directory, types[i], MS_RDONLY | MS_NODEV | MS_NOATIME, NULL) == 0)
			return 0;
		/* Another type, or one that this kernel does not have. */
		if (errno != EINVAL && errno != ENODEV)
			break;
	}
	return error_sys(err, errno, "cannot mount the image %s: it must be a squashfs or erofs", device);
}

int volume_sync(const char *directory, struct error *err)
{
	autoclose int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) < 0)
		return error_sys(err, errno, "cannot sync %s", directory);
	return 0;
}

/* Whether one of a process's links in /proc leads below a directory. */
static bool links_below(const char *pid, const char *what, const char *directory)
{
	autofree char *path = format_string("/proc/%s/%s", pid, what);
	char target[4096];
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	size_t prefix = strlen(directory);
	return strncmp(target, directory, prefix) == 0 && (target[prefix] == '\0' || target[prefix] == '/');
}

static bool mounts_mention(const char *pid, const char *directory)
{
	autofree char *path = format_string("/proc/%s/mountinfo", pid);
	autofree char *text = NULL;
	autofree char *word = format_string(" %s ", directory);
	return file_read(path, 4 << 20, &text, NULL) == 0 && strstr(text, word);
}

static const char *hold_of(const char *pid, const char *directory)
{
	static const char *const links[] = { "cwd", "root", "exe" };
	for (size_t i = 0; i < array_length(links); i++)
		if (links_below(pid, links[i], directory))
			return links[i];
	autofree char *fds = format_string("/proc/%s/fd", pid);
	autoclosedir DIR *dir = opendir(fds);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		autofree char *fd = format_string("fd/%s", entry->d_name);
		if (links_below(pid, fd, directory))
			return "an open file";
	}
	autofree char *own = format_string("/proc/%s/ns/mnt", pid);
	struct stat theirs, ours;
	if (stat(own, &theirs) == 0 && stat("/proc/self/ns/mnt", &ours) == 0 &&
	    theirs.st_ino != ours.st_ino && mounts_mention(pid, directory))
		return "its mount namespace";
	return NULL;
}

/* "PID NAME (how)" of a process that keeps a mount busy, for the error's sentence. */
static void name_holder(const char *directory, char *text, size_t size)
{
	autoclosedir DIR *dir = opendir("/proc");
	snprintf(text, size, "nobody that /proc shows");
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		const char *how = hold_of(entry->d_name, directory);
		if (!how)
			continue;
		autofree char *path = format_string("/proc/%s/comm", entry->d_name);
		autofree char *name = NULL;
		if (file_read(path, 256, &name, NULL) == 0)
			name[strcspn(name, "\n")] = '\0';
		snprintf(text, size, "process %.20s %.60s (%s)", entry->d_name, name ? name : "", how);
		return;
	}
}

int volume_unmount(const char *directory, int timeout_ms, struct error *err)
{
	int64_t end = clock_monotonic_ms() + timeout_ms;
	for (;;) {
		if (umount2(directory, UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return error_sys(err, errno, "cannot unmount %s", directory);
		if (clock_monotonic_ms() >= end)
			break;
		sleep_us(500);
	}
	char holder[400];
	name_holder(directory, holder, sizeof(holder));
	return error_set(err, EBUSY, "cannot unmount %s: it is in use by %s", directory, holder);
}
