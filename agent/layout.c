#include "agent/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/volume.h"
#include "lib/cleanup.h"
#include "lib/file.h"

enum { DEVICE_WAIT_MS = 10000 };

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
	static const char *const masked[] = { "/proc/kcore", "/proc/keys", "/proc/timer_list" };
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

static bool is_mounted(const char *path)
{
	struct statx st;
	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* ---- before the volumes are here ---- */

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

	/* A tmpfs of its own: the host's /run may be nodev. */
	if (mount("tmpfs", dev, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k,nr_inodes=64") < 0)
		return error_sys(err, errno, "cannot mount the job's /dev");
	for (size_t i = 0; i < array_length(nodes); i++) {
		autofree char *path = format_string("%s/%s", dev, nodes[i].name);
		/* chmod: the umask does not count. */
		if (mknod(path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) < 0 ||
		    chmod(path, 0666) < 0)
			return error_sys(err, errno, "cannot make the device node %s", path);
	}
	for (size_t i = 0; i < array_length(links); i++) {
		autofree char *path = format_string("%s/%s", dev, links[i][1]);
		if (symlink(links[i][0], path) < 0)
			return error_sys(err, errno, "cannot make %s", path);
	}
	for (size_t i = 0; i < array_length(directories); i++) {
		autofree char *path = format_string("%s/%s", dev, directories[i]);
		if (mkdir(path, 0755) < 0)
			return error_sys(err, errno, "cannot make %s", path);
	}
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
	if (!is_mounted(image)) {
		status = volume_find(layout->spec->image, timeout_ms, &device, err);
		if (status == 0)
			status = volume_mount_image(device, image, err);
	}
	if (status == 0 && !is_mounted(dev)) {
		status = make_dev(dev, err);
		if (status < 0)
			umount2(dev, MNT_DETACH);
	}
	return status;
}

/* ---- volumes, side by side ---- */

struct mount_row {
	const char *subvolume;
	char *directory;
};

/* One device and what is mounted of it: the work of one thread. */
struct device_task {
	const char *serial;
	struct mount_row mounts[2];
	size_t count;
	int (*run)(struct device_task *task, struct error *err);
	int timeout_ms;
	struct error err;
	int status;
	pthread_t thread;
};

struct device_tasks {
	size_t count;
	struct device_task task[SPEC_DATA_MAX + 2];
};

static void free_tasks(struct device_tasks *tasks)
{
	for (size_t i = 0; i < tasks->count; i++)
		for (size_t j = 0; j < tasks->task[i].count; j++)
			free(tasks->task[i].mounts[j].directory);
}

#define autotasks __attribute__((cleanup(free_tasks)))

static void list_tasks(struct layout *layout, struct device_tasks *tasks, bool with_process)
{
	memset(tasks, 0, sizeof(*tasks));
	tasks->task[tasks->count++] = (struct device_task){
		.serial = layout->spec->work,
		.mounts = { { "root", layout_path(layout, "work") }, { "log", layout_path(layout, "log") } },
		.count = 2,
	};
	for (size_t i = 0; i < layout->spec->data_count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "data-%zu", i);
		tasks->task[tasks->count++] = (struct device_task){
			.serial = layout->spec->data[i].volume,
			.mounts = { { NULL, layout_path(layout, name) } },
			.count = 1,
		};
	}
	if (with_process && layout->spec->process)
		tasks->task[tasks->count++] = (struct device_task){
			.serial = layout->spec->process,
			.mounts = { { NULL, layout_path(layout, "process") } },
			.count = 1,
		};
}

static void *task_main(void *argument)
{
	struct device_task *task = argument;
	task->status = task->run(task, &task->err);
	return NULL;
}

/* All of them run, whatever happens to one; the first error is told. */
static int run_tasks(struct device_tasks *tasks, int (*run)(struct device_task *, struct error *),
		     int timeout_ms, struct error *err)
{
	bool started[array_length(tasks->task)] = { false };
	for (size_t i = 0; i < tasks->count; i++) {
		tasks->task[i].run = run;
		tasks->task[i].timeout_ms = timeout_ms;
		if (i + 1 < tasks->count)
			started[i] =
			    pthread_create(&tasks->task[i].thread, NULL, task_main, &tasks->task[i]) == 0;
		if (!started[i])
			task_main(&tasks->task[i]);
	}
	int status = 0;
	for (size_t i = 0; i < tasks->count; i++) {
		if (started[i])
			pthread_join(tasks->task[i].thread, NULL);
		if (status == 0 && tasks->task[i].status < 0) {
			status = tasks->task[i].status;
			if (err)
				*err = tasks->task[i].err;
		}
	}
	return status;
}

static int format_device(struct device_task *task, struct error *err)
{
	autofree char *device = NULL;
	if (is_mounted(task->mounts[0].directory))
		return 0;
	int status = volume_find(task->serial, task->timeout_ms, &device, err);
	if (status == 0)
		status = volume_claim(device, task->timeout_ms, err);
	return status < 0 ? status : volume_format(device, err);
}

static int claim_device(struct device_task *task, struct error *err)
{
	autofree char *device = NULL;
	if (is_mounted(task->mounts[0].directory))
		return 0;
	int status = volume_find(task->serial, task->timeout_ms, &device, err);
	return status < 0 ? status : volume_claim(device, task->timeout_ms, err);
}

static int mount_device(struct device_task *task, struct error *err)
{
	autofree char *device = NULL;
	int status = volume_find(task->serial, 0, &device, err);
	for (size_t i = 0; status == 0 && i < task->count; i++)
		if (!is_mounted(task->mounts[i].directory))
			status =
			    volume_mount(device, task->mounts[i].subvolume, task->mounts[i].directory, err);
	return status;
}

static int unmount_device(struct device_task *task, struct error *err)
{
	int status = 0;
	for (size_t i = task->count; i-- > 0;) {
		int one =
		    volume_unmount(task->mounts[i].directory, task->timeout_ms, status == 0 ? err : NULL);
		if (status == 0)
			status = one;
	}
	return status;
}

static int release_device(struct device_task *task, struct error *err)
{
	autofree char *device = NULL;
	int status = unmount_device(task, err);
	if (status == 0)
		status = volume_find(task->serial, 0, &device, err);
	/* Other mount namespaces (a task that is just going) let go a moment later. */
	return status < 0 ? status : volume_claim(device, task->timeout_ms, err);
}

static int sync_device(struct device_task *task, struct error *err)
{
	return volume_sync(task->mounts[0].directory, err);
}

static int all_devices(struct layout *layout, bool with_process,
		       int (*run)(struct device_task *, struct error *), int timeout_ms, struct error *err)
{
	autotasks struct device_tasks tasks;
	list_tasks(layout, &tasks, with_process);
	return run_tasks(&tasks, run, timeout_ms, err);
}

int layout_format(struct layout *layout, int timeout_ms, struct error *err)
{
	return all_devices(layout, false, format_device, timeout_ms, err);
}

int layout_claim_volumes(struct layout *layout, bool with_process, int timeout_ms, struct error *err)
{
	return all_devices(layout, with_process, claim_device, timeout_ms, err);
}

int layout_mount_volumes(struct layout *layout, bool with_process, struct error *err)
{
	return all_devices(layout, with_process, mount_device, 0, err);
}

int layout_sync_volumes(struct layout *layout, struct error *err)
{
	return all_devices(layout, false, sync_device, 0, err);
}

int layout_release_volumes(struct layout *layout, int timeout_ms, struct error *err)
{
	autofree char *root = layout_path(layout, "root");
	int status = volume_unmount(root, timeout_ms, err);
	return status < 0 ? status : all_devices(layout, true, release_device, timeout_ms, err);
}

int layout_mount_process(struct layout *layout, int timeout_ms, struct error *err)
{
	autofree char *directory = layout_path(layout, "process"), *device = NULL;
	if (!layout->spec->process)
		return error_set(
		    err, ENOENT,
		    "the job has no volume for its process image: attach one and name it in `process`");
	if (is_mounted(directory))
		return 0;
	int status = volume_find(layout->spec->process, timeout_ms, &device, err);
	if (status == 0)
		status = volume_claim(device, timeout_ms, err);
	if (status == 0)
		status = volume_format(device, err);
	return status < 0 ? status : volume_mount(device, NULL, directory, err);
}

int layout_unmount_process(struct layout *layout, int timeout_ms, struct error *err)
{
	autofree char *directory = layout_path(layout, "process");
	return volume_unmount(directory, timeout_ms, err);
}

int layout_unmount_all(struct layout *layout, int timeout_ms, struct error *err)
{
	autofree char *root = layout_path(layout, "root"), *image = layout_path(layout, "image"),
		      *dev = layout_path(layout, "dev"), *tree = layout_path(layout, "float");
	int status = volume_unmount(root, timeout_ms, err);
	int volumes = all_devices(layout, true, unmount_device, timeout_ms, status == 0 ? err : NULL);
	const char *const rest[] = { image, dev };
	if (status == 0)
		status = volumes;
	/* The keeper took its /float away, unless it was killed: then the mount is a dead one. */
	umount2(tree, MNT_DETACH);
	for (size_t i = 0; i < array_length(rest); i++) {
		int one = volume_unmount(rest[i], timeout_ms, status == 0 ? err : NULL);
		if (status == 0)
			status = one;
	}
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

/* As mkdir -p inside the root; an O_PATH descriptor of it, or -errno. */
static int make_in_root(int root, const char *path, mode_t mode)
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
		autoclose int fd = make_in_root(root_fd, target, 0755);
		if (fd < 0)
			return error_sys(err, -fd, "cannot make the directory %s in the job's image", target);
	}
	return 0;
}

int layout_mount_root(struct layout *layout, struct error *err)
{
	autofree char *root = layout_path(layout, "root");
	if (!is_mounted(root)) {
		autofree char *options =
		    format_string("lowerdir=%s/image,upperdir=%s/work/upper,workdir=%s/work/"
				  "overlay,redirect_dir=on,index=off",
				  layout->directory, layout->directory, layout->directory);
		if (mount("overlay", root, "overlay", MS_NOATIME, options) < 0)
			return error_sys(err, errno, "cannot mount the job's root");
	}
	return make_mount_points(layout, root, err);
}

/* ---- a new job ---- */

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
	if (is_mounted(top))
		return 0;
	int status = volume_find(layout->spec->work, DEVICE_WAIT_MS, &device, err);
	if (status == 0)
		status = volume_mount(device, NULL, top, err);
	if (status < 0)
		return status;
	for (size_t i = 0; status == 0 && i < array_length(names); i++)
		status = volume_make_subvolume(top, names[i], err);
	int unmounted = volume_unmount(top, DEVICE_WAIT_MS, status == 0 ? err : NULL);
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
	autoclose int parent = make_in_root(root, directory, 0755);
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
