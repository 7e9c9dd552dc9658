/* What a new job finds on its work volume: subvolumes, directories, the script, the log files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/layout_inside.h"
#include "lib/cleanup.h"
#include "lib/file.h"

enum { INIT_LIMIT = 16 << 20, RESOLVER_LIMIT = 64 << 10 };

static int make_owned(const char *path, mode_t mode, uid_t uid, gid_t gid, struct error *err)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return error_sys(err, errno, "cannot make %s", path);
	if (chown(path, uid, gid) < 0 || chmod(path, mode) < 0)
		return error_sys(err, errno, "cannot set the owner of %s", path);
	return 0;
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

/* A file of the job's root. */
struct file_row {
	const char *path;
	const void *data;
	size_t length;
	mode_t mode;
	bool replace;
	bool owned; /* the job's, not root's */
};

static int write_in_root(struct layout *layout, int root, const struct file_row *row, struct error *err)
{
	autofree char *directory = format_string("%s", row->path);
	char *name = strrchr(directory, '/');
	*name++ = '\0';
	autoclose int parent = layout_make_in_root(root, directory, 0755);
	int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (row->replace ? O_TRUNC : O_EXCL);
	autoclose int fd = parent < 0 ? -1 : openat(parent, name, flags, row->mode);
	if (fd < 0 && errno == EEXIST && !row->replace)
		return 0;
	if (fd < 0)
		return error_sys(err, parent < 0 ? -parent : errno, "cannot make %s in the job's root",
				 row->path);
	int status = file_write_all(fd, row->data, row->length);
	if (status == 0 && (fchmod(fd, row->mode) < 0 || fchown(fd, row->owned ? layout->spec->uid : 0,
								row->owned ? layout->spec->gid : 0) < 0))
		status = -errno;
	return status < 0 ? error_sys(err, -status, "cannot write %s in the job's root", row->path) : 0;
}

/* Does it name a server that could be one for the job? What listens on the loopback does so elsewhere. */
static bool names_server(const char *text)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		char server[64];
		line += strspn(line, "\n");
		if (sscanf(line, "nameserver %63s", server) == 1 && strncmp(server, "127.", 4) != 0 &&
		    strcmp(server, "::1") != 0)
			return true;
	}
	return false;
}

/*
 * Where names are looked up: as the host does, unless the image says something useful, or the file is the job's own
 * already. It goes with the volume from there, so it is the same on every host.
 */
static int write_resolver(struct layout *layout, int root, struct error *err)
{
	autofree char *own = layout_path(layout, "work/upper/etc/resolv.conf"), *here = NULL, *there = NULL;
	autofree char *place = layout_resolve(layout, "/etc/resolv.conf");
	autofree char *path = place ? format_string("%s/root%s", layout->directory, place) : NULL;
	struct stat st;
	if (!layout->spec->network || lstat(own, &st) == 0 ||
	    file_read("/etc/resolv.conf", RESOLVER_LIMIT, &here, NULL) < 0)
		return 0;
	if (path && file_read(path, RESOLVER_LIMIT, &there, NULL) == 0 && names_server(there))
		return 0;
	autoclose int etc = layout_make_in_root(root, "/etc", 0755);
	if (etc < 0 || (unlinkat(etc, "resolv.conf", 0) < 0 && errno != ENOENT))
		return error_sys(err, etc < 0 ? -etc : errno,
				 "cannot replace /etc/resolv.conf in the job's root");
	struct file_row row = { "/etc/resolv.conf", here, strlen(here), 0644, false, false };
	return write_in_root(layout, root, &row, err);
}

int layout_furnish(struct layout *layout, const void *script, size_t length, struct error *err)
{
	int status = layout_make_subvolumes(layout, LAYOUT_DEVICE_WAIT_MS, err);
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
	autofree char *init = NULL;
	size_t init_length;
	status = file_read(LAYOUT_INIT_SOURCE, INIT_LIMIT, &init, &init_length);
	if (status < 0)
		return error_sys(err, -status, "cannot read " LAYOUT_INIT_SOURCE);
	/* The job finds its own name, where the image says nothing about it. */
	autofree char *hosts = format_string("127.0.0.1 localhost\n::1 localhost\n%s %s\n",
					     layout->spec->address ? layout->spec->address : "127.0.0.1",
					     layout->spec->hostname);
	const struct file_row rows[] = {
		{ LAYOUT_INIT, init, init_length, 0555, true, false },
		{ LAYOUT_SCRIPT, script, length, 0755, true, true },
		{ "/etc/hosts", hosts, strlen(hosts), 0644, false, false },
	};
	for (size_t i = 0; status == 0 && i < array_length(rows); i++)
		status = write_in_root(layout, root_fd, &rows[i], err);
	return status < 0 ? status : write_resolver(layout, root_fd, err);
}
