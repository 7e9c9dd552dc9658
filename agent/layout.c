#include "agent/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/layout_inside.h"
#include "agent/volume.h"
#include "lib/cleanup.h"
#include "lib/file.h"

/* A volume with less room than this is full: btrfs keeps some to itself. */
enum { FULL_BYTES = 4 << 20 };

static void add_bind(struct layout *layout, const char *key, char *source, const char *target, unsigned flags,
		     bool in_root)
{
	layout->binds[layout->count++] = (struct layout_bind){
		.key = format_string("%s", key),
		.source = source,
		.target = format_string("%s", target),
		.flags = flags,
		.in_root = in_root,
	};
}

struct layout *layout_new(const char *directory, const struct spec *spec)
{
	/* What no job has a use for, and criu restores as quickly as any other bind. */
	static const char *const masked[] = {
		"/proc/kcore",      "/proc/keys",        "/proc/timer_list",  "/proc/kpagecount",
		"/proc/kpageflags", "/proc/kpagecgroup", "/proc/vmallocinfo",
	};
	const unsigned plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

	struct layout *layout = calloc(1, sizeof(*layout));
	if (!layout)
		abort();
	layout->directory = format_string("%s", directory);
	layout->spec = spec;
	/* /dev first: /dev/shm lies in it. */
	add_bind(layout, "dev", layout_path(layout, "dev"), "/dev",
		 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY, true);
	add_bind(layout, "shm", layout_path(layout, "work/shm"), "/dev/shm", plain, false);
	add_bind(layout, "tmp", layout_path(layout, "work/tmp"), "/tmp", plain, true);
	add_bind(layout, "log", layout_path(layout, "log"), spec->log, plain, true);
	add_bind(layout, "float", layout_path(layout, "float"), "/float", plain, true);
	if (access(LAYOUT_SHIM, F_OK) == 0)
		add_bind(layout, "shim", format_string("%s", LAYOUT_SHIM), "/opt/memverge",
			 plain | MOUNT_ATTR_RDONLY, true);
	for (size_t i = 0; i < spec->data_count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "data-%zu", i);
		add_bind(layout, name, layout_path(layout, name), spec->data[i].mount, plain, true);
	}
	for (size_t i = 0; i < array_length(masked); i++) {
		char key[32];
		snprintf(key, sizeof(key), "mask-%zu", i);
		if (access(masked[i], F_OK) == 0)
			add_bind(layout, key, layout_path(layout, "dev/null"), masked[i],
				 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false);
	}
	return layout;
}

void layout_free(struct layout *layout)
{
	if (!layout)
		return;
	for (size_t i = 0; i < layout->count; i++) {
		free(layout->binds[i].key);
		free(layout->binds[i].source);
		free(layout->binds[i].target);
	}
	free(layout->directory);
	free(layout);
}

char *layout_path(const struct layout *layout, const char *name)
{
	return format_string("%s/%s", layout->directory, name);
}

bool layout_is_mounted(const char *path)
{
	struct statx st;
	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

void layout_note_full(const struct layout *layout, json_object *exit)
{
	json_object *full = json_object_new_array();
	for (size_t i = 0; i <= layout->spec->data_count; i++) {
		char name[32] = "work";
		if (i > 0)
			snprintf(name, sizeof(name), "data-%zu", i - 1);
		autofree char *path = layout_path(layout, name);
		struct statvfs fs;
		if (layout_is_mounted(path) && statvfs(path, &fs) == 0 &&
		    fs.f_bavail * fs.f_frsize < FULL_BYTES)
			json_object_array_add(
			    full, json_object_new_string(i > 0 ? layout->spec->data[i - 1].mount : "/"));
	}
	if (json_object_array_length(full) > 0)
		json_object_object_add(exit, "full", full);
	else
		json_object_put(full);
}

/* ---- before the volumes are here ---- */

/* A tmpfs of its own (the host's /run may be nodev), mounted nowhere yet; -errno. */
static int mount_tmpfs(void)
{
	static const char *const options[][2] = { { "mode", "755" },
						  { "size", "64k" },
						  { "nr_inodes", "64" } };
	autoclose int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	for (size_t i = 0; i < array_length(options); i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0) < 0)
			return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Filled before it is mounted: an agent that is killed meanwhile leaves no half of it for the next one. */
static int make_dev(const char *dev, struct error *err)
{
	static const struct {
		const char *name;
		unsigned minor, major;
	} nodes[] = {
		{ "null", 3, 1 },   { "zero", 5, 1 },    { "full", 7, 1 },
		{ "random", 8, 1 }, { "urandom", 9, 1 }, { "tty", 0, 5 },
	};
	static const char *const links[][2] = {
		{ "pts/ptmx", "ptmx" },          { "/proc/self/fd", "fd" },
		{ "/proc/self/fd/0", "stdin" },  { "/proc/self/fd/1", "stdout" },
		{ "/proc/self/fd/2", "stderr" },
	};
	static const char *const directories[] = { "pts", "shm" };

	autoclose int fd = mount_tmpfs();
	if (fd < 0)
		return error_sys(err, -fd, "cannot mount the job's /dev");
	for (size_t i = 0; i < array_length(nodes); i++) {
		const char *name = nodes[i].name;
		/* chmod: the umask does not count. */
		if (mknodat(fd, name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) < 0 ||
		    fchmodat(fd, name, 0666, 0) < 0)
			return error_sys(err, errno, "cannot make the job's device node /dev/%s", name);
	}
	for (size_t i = 0; i < array_length(links); i++)
		if (symlinkat(links[i][0], fd, links[i][1]) < 0)
			return error_sys(err, errno, "cannot make the job's /dev/%s", links[i][1]);
	for (size_t i = 0; i < array_length(directories); i++)
		if (mkdirat(fd, directories[i], 0755) < 0)
			return error_sys(err, errno, "cannot make the job's /dev/%s", directories[i]);
	if (move_mount(fd, "", AT_FDCWD, dev, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_sys(err, errno, "cannot mount the job's /dev");
	return 0;
}

int layout_mount_base(struct layout *layout, int timeout_ms, struct error *err)
{
	static const char *const places[] = { "image", "dev", "work", "log", "process", "root", "float" };
	for (size_t i = 0; i < array_length(places); i++) {
		autofree char *path = layout_path(layout, places[i]);
		int status = file_make_directories(path, 0755);
		if (status < 0)
			return error_sys(err, -status, "cannot make %s", path);
	}
	autofree char *image = layout_path(layout, "image"), *dev = layout_path(layout, "dev"),
		      *device = NULL;
	int status = 0;
	if (!layout_is_mounted(image)) {
		status = volume_find(layout->spec->image, timeout_ms, &device, err);
		if (status == 0)
			status = volume_mount_image(device, image, err);
	}
	if (status == 0 && !layout_is_mounted(dev))
		status = make_dev(dev, err);
	return status;
}

/* ---- the root ---- */

static int open_in_root(int root, const char *path, uint64_t flags)
{
	/* The image is not ours: its links must lead nowhere but into itself. */
	struct open_how how = { .flags = flags | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

int layout_make_in_root(int root, const char *path, mode_t mode)
{
	char prefix[PATH_MAX];
	autoclose int parent = open_in_root(root, "/", O_PATH | O_DIRECTORY);
	for (const char *at = path; parent >= 0 && *at;) {
		at += strspn(at, "/");
		size_t length = strcspn(at, "/");
		if (length == 0)
			break;
		char name[NAME_MAX + 1];
		if (length > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, at, length);
		name[length] = '\0';
		at += length;
		snprintf(prefix, sizeof(prefix), "%.*s", (int)(at - path), path);
		int next = open_in_root(root, prefix, O_PATH | O_DIRECTORY);
		if (next == -ENOENT) {
			if (mkdirat(parent, name, mode) < 0)
				return -errno;
			next = open_in_root(root, prefix, O_PATH | O_DIRECTORY);
		}
		close(parent);
		parent = next;
	}
	return take_fd(parent);
}

char *layout_resolve(const struct layout *layout, const char *path)
{
	autofree char *root = layout_path(layout, "root");
	autoclose int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autoclose int fd = root_fd < 0 ? -1 : open_in_root(root_fd, path, O_PATH);
	if (fd < 0)
		return NULL;
	char link[64], target[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, target, sizeof(target) - 1);
	size_t prefix = strlen(root);
	if (length < (ssize_t)prefix)
		return NULL;
	target[length] = '\0';
	return format_string("%s", target[prefix] ? target + prefix : "/");
}

static int make_mount_points(struct layout *layout, const char *root, struct error *err)
{
	static const char *const own[] = { "/proc", "/sys" };
	autoclose int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return error_sys(err, errno, "cannot open %s", root);
	for (size_t i = 0; i < array_length(own) + layout->count; i++) {
		const struct layout_bind *bind =
		    i < array_length(own) ? NULL : &layout->binds[i - array_length(own)];
		if (bind && !bind->in_root)
			continue;
		const char *target = bind ? bind->target : own[i];
		autoclose int fd = layout_make_in_root(root_fd, target, 0755);
		if (fd < 0)
			return error_sys(err, -fd, "cannot make the directory %s in the job's image", target);
	}
	return 0;
}

int layout_mount_root(struct layout *layout, struct error *err)
{
	autofree char *root = layout_path(layout, "root");
	if (!layout_is_mounted(root)) {
		autofree char *options =
		    format_string("lowerdir=%s/image,upperdir=%s/work/upper,workdir=%s/work/"
				  "overlay,redirect_dir=on,index=off",
				  layout->directory, layout->directory, layout->directory);
		/* nodev: an image may hold device nodes. */
		if (mount("overlay", root, "overlay", MS_NOATIME | MS_NODEV, options) < 0)
			return error_sys(err, errno, "cannot mount the job's root");
	}
	return make_mount_points(layout, root, err);
}
