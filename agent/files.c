#include "agent/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/files_inside.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/utf8.h"

enum { PAGE_LIMIT = 1000, READ_LIMIT = 1 << 20 };

/* ---- attributes ---- */

static void set_time(json_object *object, const char *key, struct timespec time)
{
	json_object *pair = json_object_new_array_ext(2);
	json_object_array_add(pair, json_object_new_int64(time.tv_sec));
	json_object_array_add(pair, json_object_new_int64(time.tv_nsec));
	json_object_object_add(object, key, pair);
}

static void describe(json_object *object, struct files_place place, const struct stat *st)
{
	json_set_int(object, "volume", place.volume);
	json_set_int(object, "inode", (int64_t)place.inode);
	json_set_int(object, "mode", st->st_mode);
	json_set_int(object, "nlink", (int64_t)st->st_nlink);
	json_set_int(object, "uid", st->st_uid);
	json_set_int(object, "gid", st->st_gid);
	json_set_int(object, "size", st->st_size);
	json_set_int(object, "blocks", st->st_blocks);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		json_set_int(object, "major", major(st->st_rdev));
		json_set_int(object, "minor", minor(st->st_rdev));
	}
	set_time(object, "atime", st->st_atim);
	set_time(object, "mtime", st->st_mtim);
	set_time(object, "ctime", st->st_ctim);
}

static int stat_place(const struct files *files, struct files_place place, struct stat *st)
{
	/* A made one is like the directory at the top, but for what it holds. */
	bool made = place.volume == FILES_MADE;
	if (made && (place.inode == 0 || place.inode > files->made_count))
		return -ESTALE;
	autoclose int fd = files_open_place(files, made ? files->top : place, st);
	if (made && fd >= 0) {
		st->st_size = 0;
		st->st_blocks = 0;
		st->st_nlink = 1;
	}
	return fd < 0 ? fd : 0;
}

/* Is what stands there the job's? Overlayfs says by a device 0/0 that a file of the image was deleted; another device
 * is another subvolume. */
static bool is_shown(const struct files *files, int volume, const struct stat *st)
{
	if (volume == FILES_WORK && S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0))
		return false;
	return st->st_dev == files->volumes[volume].device;
}

/* ---- what can be asked ---- */

static int ask_stat(const struct files *files, struct files_place place, json_object *body,
		    json_object *answer)
{
	struct stat st;
	(void)body;
	int status = stat_place(files, place, &st);
	if (status == 0)
		describe(answer, place, &st);
	return status;
}

static int ask_lookup(const struct files *files, struct files_place place, json_object *body,
		      json_object *answer)
{
	autofree char *name = format_string("%s", json_get_string(body, "name", ""));
	utf8_unescape(name);
	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	const struct files_row *row = files_find_row(files, place, name);
	if (row)
		return ask_stat(files, row->child, body, answer);
	if (place.volume == FILES_MADE)
		return 0;
	autoclose int fd = files_open_inode(files, place, O_PATH | O_DIRECTORY);
	struct stat st;
	if (fd < 0)
		return fd;
	/* Nothing of that name is an answer like another: nobody logs it. */
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (is_shown(files, place.volume, &st))
		describe(answer, (struct files_place){ place.volume, st.st_ino }, &st);
	return 0;
}

static void add_entry(json_object *entries, const char *name, uint64_t next, struct files_place place,
		      const struct stat *st)
{
	json_object *entry = json_object_new_object();
	autofree char *text = utf8_escape(name, '\\');
	json_set_string(entry, "name", text);
	json_set_int(entry, "next", (int64_t)next);
	describe(entry, place, st);
	json_object_array_add(entries, entry);
}

/* Positions are those of the rows, then the file system's own: the same on every host. */
static int list_directory(const struct files *files, struct files_place place, uint64_t after, size_t limit,
			  json_object *entries)
{
	autoclose int fd = files_open_inode(files, place, O_RDONLY | O_DIRECTORY | O_NOATIME);
	autoclosedir DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory)
		return fd < 0 ? fd : -errno;
	int own = dirfd(directory);
	(void)take_fd(fd); /* the stream's */
	seekdir(directory, (long)(after - files->row_count));
	while (json_object_array_length(entries) < limit) {
		struct stat st;
		errno = 0;
		struct dirent *entry = readdir(directory);
		if (!entry)
			return -errno;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    files_find_row(files, place, entry->d_name) ||
		    fstatat(own, entry->d_name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0 ||
		    !is_shown(files, place.volume, &st))
			continue;
		uint64_t next = (uint64_t)entry->d_off + files->row_count;
		add_entry(entries, entry->d_name, next > INT64_MAX ? INT64_MAX : next,
			  (struct files_place){ place.volume, st.st_ino }, &st);
	}
	return 0;
}

static int ask_list(const struct files *files, struct files_place place, json_object *body,
		    json_object *answer)
{
	int64_t after = json_get_int(body, "after", 0), limit = json_get_int(body, "limit", PAGE_LIMIT);
	if (after < 0 || limit < 1)
		return -EINVAL;
	if (limit > PAGE_LIMIT)
		limit = PAGE_LIMIT;
	json_object *entries = json_object_new_array();
	json_object_object_add(answer, "entries", entries);
	for (size_t i = (size_t)after; i < files->row_count; i++) {
		const struct files_row *row = &files->rows[i];
		struct stat st;
		if (!files_same_place(row->parent, place))
			continue;
		int status = stat_place(files, row->child, &st);
		if (status < 0)
			return status;
		if (json_object_array_length(entries) == (size_t)limit)
			return 0;
		add_entry(entries, row->name, i + 1, row->child, &st);
	}
	if (place.volume == FILES_MADE)
		return 0;
	uint64_t from = (uint64_t)after > files->row_count ? (uint64_t)after : files->row_count;
	return list_directory(files, place, from, (size_t)limit, entries);
}

static int ask_readlink(const struct files *files, struct files_place place, json_object *body,
			json_object *answer)
{
	char target[PATH_MAX];
	struct stat st;
	(void)body;
	autoclose int fd = files_open_place(files, place, &st);
	if (fd < 0)
		return fd == -ENOTDIR ? -EINVAL : fd;
	ssize_t length = readlinkat(fd, "", target, sizeof(target) - 1);
	if (length < 0)
		return -errno;
	target[length] = '\0';
	autofree char *text = utf8_escape(target, '\\');
	json_set_string(answer, "target", text);
	return 0;
}

/* Regular files only: opening a pipe or a device would do something. */
static int open_file(const struct files *files, struct files_place place)
{
	struct stat st;
	autoclose int looked_at = files_open_place(files, place, &st);
	if (looked_at < 0)
		return looked_at == -ENOTDIR ? -EISDIR : looked_at;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	return files_open_inode(files, place, O_RDONLY | O_NOATIME | O_NOFOLLOW);
}

static int ask_seek(const struct files *files, struct files_place place, json_object *body,
		    json_object *answer)
{
	bool hole = strcmp(json_get_string(body, "whence", "data"), "hole") == 0;
	autoclose int fd = open_file(files, place);
	if (fd < 0)
		return fd;
	off_t offset = lseek(fd, json_get_int(body, "offset", 0), hole ? SEEK_HOLE : SEEK_DATA);
	if (offset < 0)
		return -errno;
	json_set_int(answer, "offset", offset);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const struct files *files, struct files_place place, json_object *body,
		   json_object *answer);
} asks[] = {
	{ "stat", ask_stat },         { "lookup", ask_lookup }, { "list", ask_list },
	{ "readlink", ask_readlink }, { "seek", ask_seek },
};

static int read_place(const struct files *files, json_object *body, struct files_place *place,
		      struct error *err)
{
	int64_t volume = json_get_int(body, "volume", 0), inode = json_get_int(body, "inode", 0);
	if (inode < 0 || volume < 0 || (volume != FILES_MADE && (size_t)volume >= files->volume_count))
		return error_set(err, EINVAL, "the job has no volume %lld", (long long)volume);
	*place = (struct files_place){ (int)volume, (uint64_t)inode };
	if (volume == FILES_WORK && inode == 0)
		*place = files->top;
	return 0;
}

static int tell(struct error *err, struct files_place place, const char *what, int status)
{
	return error_sys(err, -status, "%s of file %llu on volume %d", what, (unsigned long long)place.inode,
			 place.volume);
}

int files_ask(const struct files *files, json_object *body, json_object **answer, struct error *err)
{
	const char *what = json_get_string(body, "op", "");
	struct files_place place;
	int status = read_place(files, body, &place, err);
	if (status < 0)
		return status;
	for (size_t i = 0; i < array_length(asks); i++) {
		if (strcmp(asks[i].name, what) != 0)
			continue;
		autojson json_object *object = json_object_new_object();
		status = asks[i].run(files, place, body, object);
		if (status < 0)
			return tell(err, place, what, status);
		*answer = take_pointer(object);
		return 0;
	}
	return error_set(err, EINVAL, "`%s` cannot be asked of a file", what);
}

int files_read(const struct files *files, json_object *body, void **data, size_t *length, struct error *err)
{
	int64_t offset = json_get_int(body, "offset", 0), size = json_get_int(body, "size", READ_LIMIT);
	struct files_place place;
	int status = read_place(files, body, &place, err);
	if (status < 0)
		return status;
	if (offset < 0 || size < 0)
		return error_set(err, EINVAL, "a file is read at an offset from 0");
	if (size > READ_LIMIT)
		size = READ_LIMIT;
	autoclose int fd = open_file(files, place);
	if (fd < 0)
		return tell(err, place, "read", fd);
	autofree char *buffer = malloc((size_t)size + 1);
	if (!buffer)
		return error_set(err, ENOMEM, "out of memory");
	size_t used = 0;
	while (used < (size_t)size) {
		ssize_t got = pread(fd, buffer + used, (size_t)size - used, offset + (off_t)used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return tell(err, place, "read", -errno);
		if (got == 0)
			break;
		used += (size_t)got;
	}
	*data = take_pointer(buffer);
	*length = used;
	return 0;
}
