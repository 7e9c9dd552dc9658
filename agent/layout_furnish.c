/* What a new job finds on its work volume: subvolumes, directories, the script, the log files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/layout_inside.h"
#include "agent/volume.h"
#include "lib/cleanup.h"
#include "lib/file.h"

static int make_owned(const char *path, mode_t mode, uid_t uid, gid_t gid, struct error *err)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return error_sys(err, errno, "cannot make %s", path);
	if (chown(path, uid, gid) < 0 || chmod(path, mode) < 0)
		return error_sys(err, errno, "cannot set the owner of %s", path);
	return 0;
}

static int make_subvolumes(struct layout *layout, struct error *err)
{
	static const char *const names[] = { "root", "log" };
	autofree char *top = layout_path(layout, "work"), *device = NULL;
	if (layout_is_mounted(top))
		return 0;
	int status = volume_find(layout->spec->work, LAYOUT_DEVICE_WAIT_MS, &device, err);
	if (status == 0)
		status = volume_mount(device, NULL, top, err);
	if (status < 0)
		return status;
	for (size_t i = 0; status == 0 && i < array_length(names); i++)
		status = volume_make_subvolume(top, names[i], err);
	int unmounted = volume_unmount(top, LAYOUT_DEVICE_WAIT_MS, status == 0 ? err : NULL);
	return status < 0 ? status : unmounted;
}

static int make_directories(struct layout *layout, struct error *err)
{
	uid_t uid = layout->spec->uid;
	gid_t gid = layout->spec->gid;
	const struct {
		const char *name;
		mode_t mode;
		bool owned;
	} rows[] = {
		{ "work/upper", 0755, false }, { "work/overlay", 0755, false }, { "work/tmp", 01777, false },
		{ "work/shm", 01777, false },  { "log", 0755, true },
	};
	for (size_t i = 0; i < array_length(rows); i++) {
		autofree char *path = layout_path(layout, rows[i].name);
		int status =
		    make_owned(path, rows[i].mode, rows[i].owned ? uid : 0, rows[i].owned ? gid : 0, err);
		if (status < 0)
			return status;
	}
	for (size_t i = 0; i < layout->spec->data_count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "data-%zu", i);
		autofree char *path = layout_path(layout, name);
		int status = make_owned(path, 0755, uid, gid, err);
		if (status < 0)
			return status;
	}
	return 0;
}

/* stdout.autosave, its second name `output`, and stderr.autosave; what is there stays. */
static int make_log_files(struct layout *layout, struct error *err)
{
	static const char *const names[] = { "stdout.autosave", "stderr.autosave" };
	autofree char *log = layout_path(layout, "log");
	autoclose int dir = open(log, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return error_sys(err, errno, "cannot open %s", log);
	for (size_t i = 0; i < array_length(names); i++) {
		autoclose int fd = openat(dir, names[i], O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd < 0 || fchmod(fd, 0644) < 0 || fchown(fd, layout->spec->uid, layout->spec->gid) < 0)
			return error_sys(err, errno, "cannot make %s in the log directory", names[i]);
	}
	if (linkat(dir, "stdout.autosave", dir, "output", 0) < 0 && errno != EEXIST)
		return error_sys(err, errno, "cannot make `output` in the log directory");
	return 0;
}

static int write_in_root(struct layout *layout, int root, const char *directory, const char *name,
			 const void *data, size_t length, mode_t mode, bool replace, struct error *err)
{
	autoclose int parent = layout_make_in_root(root, directory, 0755);
	int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (replace ? O_TRUNC : O_EXCL);
	autoclose int fd = parent < 0 ? -1 : openat(parent, name, flags, mode);
	if (fd < 0 && errno == EEXIST && !replace)
		return 0;
	if (fd < 0)
		return error_sys(err, parent < 0 ? -parent : errno, "cannot make %s/%s in the job's root",
				 directory, name);
	int status = file_write_all(fd, data, length);
	if (status == 0 &&
	    (fchmod(fd, mode) < 0 || (replace && fchown(fd, layout->spec->uid, layout->spec->gid) < 0)))
		status = -errno;
	return status < 0 ? error_sys(err, -status, "cannot write %s/%s in the job's root", directory, name)
			  : 0;
}

int layout_furnish(struct layout *layout, const void *script, size_t length, struct error *err)
{
	int status = make_subvolumes(layout, err);
	if (status == 0)
		status = layout_mount_volumes(layout, false, err);
	if (status == 0)
		status = make_directories(layout, err);
	if (status == 0)
		status = make_log_files(layout, err);
	if (status == 0)
		status = layout_mount_root(layout, err);
	if (status < 0)
		return status;

	autofree char *root = layout_path(layout, "root");
	autoclose int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return error_sys(err, errno, "cannot open %s", root);
	autofree char *directory = format_string("%s", LAYOUT_SCRIPT);
	char *name = strrchr(directory, '/');
	*name++ = '\0';
	status = write_in_root(layout, root_fd, directory, name, script, length, 0755, true, err);
	if (status < 0)
		return status;
	/* The job finds its own name, where the image says nothing about it. */
	autofree char *hosts = format_string("127.0.0.1 localhost\n::1 localhost\n%s %s\n",
					     layout->spec->address ? layout->spec->address : "127.0.0.1",
					     layout->spec->hostname);
	return write_in_root(layout, root_fd, "/etc", "hosts", hosts, strlen(hosts), 0644, false, err);
}
