#include "fs/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"

enum { NAMES_MAX = 100000 };

struct mirror {
	char *directory;
	pthread_mutex_t lock; /* guards what follows */
	struct mirror_entry *entries;
	size_t count;
	/* The generation that was appended to last, kept open: most data comes in runs of one file. */
	uint64_t open_generation;
	int open_fd;
};

static const char *const type_names[] = { "file", "directory", "link" };

static char *content_path(struct mirror *mirror, uint64_t generation)
{
	return format_string("%s/%llu", mirror->directory, (unsigned long long)generation);
}

/* A path that an agent names: relative, no empty, `.` or `..` part. */
static bool path_ok(const char *path)
{
	if (!*path || strlen(path) >= sizeof(((struct mirror_entry *)0)->path))
		return false;
	for (const char *part = path; part; part = strchr(part, '/')) {
		if (part != path)
			part++;
		size_t length = strcspn(part, "/");
		if (length == 0 || (length == 1 && part[0] == '.') ||
		    (length == 2 && !strncmp(part, "..", 2)))
			return false;
	}
	return true;
}

static int parse_entry(json_object *name, struct mirror_entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	const char *path = json_get_string(name, "path", "");
	const char *type = json_get_string(name, "type", "");
	int64_t generation = json_get_int(name, "generation", 0);
	size_t i = 0;
	while (i < array_length(type_names) && strcmp(type_names[i], type))
		i++;
	if (i == array_length(type_names) || !path_ok(path) || generation < 1 || generation > UINT32_MAX)
		return -EBADMSG;
	snprintf(entry->path, sizeof(entry->path), "%s", path);
	snprintf(entry->target, sizeof(entry->target), "%s", json_get_string(name, "target", ""));
	entry->type = (enum mirror_type)i;
	/* A link that leads out of the log directory would lead a reader into the reader's own files. */
	if (entry->type == MIRROR_LINK && !path_ok(entry->target))
		return -EBADMSG;
	entry->generation = (uint64_t)generation;
	entry->mode = (mode_t)json_get_int(name, "mode", 0600) & 0777;
	entry->mtime_ns = json_get_int(name, "mtime_ns", 0);
	return 0;
}

static bool is_named(const struct mirror_entry *entries, size_t count, uint64_t generation)
{
	for (size_t i = 0; i < count; i++)
		if (entries[i].generation == generation)
			return true;
	return false;
}

/* Names that the mirror cannot show (too long, or a device, say) are left out; they stay on the volume. */
static int parse_names(json_object *names, struct mirror_entry **entries, size_t *count)
{
	size_t room = json_object_array_length(names);
	if (room > NAMES_MAX)
		return -EFBIG;
	*entries = calloc(room + 1, sizeof(**entries));
	if (!*entries)
		return -ENOMEM;
	*count = 0;
	for (size_t i = 0; i < room; i++)
		if (parse_entry(json_object_array_get_idx(names, i), &(*entries)[*count]) == 0)
			(*count)++;
	return 0;
}

static void close_content_locked(struct mirror *mirror)
{
	if (mirror->open_fd >= 0)
		close(mirror->open_fd);
	mirror->open_fd = -1;
	mirror->open_generation = 0;
}

int mirror_open(const char *directory, struct mirror **out, struct error *err)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));
	if (!mirror)
		return error_set(err, ENOMEM, "out of memory");
	mirror->directory = strdup(directory);
	mirror->open_fd = -1;
	pthread_mutex_init(&mirror->lock, NULL);
	autofree char *index = format_string("%s/index.json", directory);
	autojson json_object *object = NULL;
	int status = json_read_file(index, &object, err);
	if (status == -ENOENT) {
		*out = mirror;
		return 0;
	}
	json_object *names = status == 0 ? json_get_array(object, "names") : NULL;
	if (status == 0 && !names)
		status = error_set(err, EBADMSG, "%s holds no names", index);
	if (status == 0 && parse_names(names, &mirror->entries, &mirror->count) < 0)
		status = error_set(err, ENOMEM, "out of memory");
	if (status < 0) {
		mirror_close(mirror);
		return status;
	}
	*out = mirror;
	return 0;
}

void mirror_close(struct mirror *mirror)
{
	if (!mirror)
		return;
	close_content_locked(mirror);
	pthread_mutex_destroy(&mirror->lock);
	free(mirror->entries);
	free(mirror->directory);
	free(mirror);
}

int mirror_set_names(struct mirror *mirror, json_object *names, struct error *err)
{
	struct mirror_entry *entries = NULL;
	size_t count = 0;
	int status = parse_names(names, &entries, &count);
	if (status == 0)
		status = file_make_directories(mirror->directory, 0700);
	if (status == 0) {
		autojson json_object *index = json_object_new_object();
		autofree char *path = format_string("%s/index.json", mirror->directory);
		json_object_object_add(index, "names", json_object_get(names));
		status = json_write_file(path, index, 0600);
	}
	if (status < 0) {
		free(entries);
		return error_sys(err, -status, "the names of the log directory cannot be kept in %s",
				 mirror->directory);
	}
	pthread_mutex_lock(&mirror->lock);
	struct mirror_entry *old = mirror->entries;
	size_t old_count = mirror->count;
	mirror->entries = entries;
	mirror->count = count;
	close_content_locked(mirror);
	for (size_t i = 0; i < old_count; i++) {
		if (old[i].type != MIRROR_FILE || is_named(entries, count, old[i].generation))
			continue;
		autofree char *path = content_path(mirror, old[i].generation);
		unlink(path);
	}
	pthread_mutex_unlock(&mirror->lock);
	free(old);
	return 0;
}

/* A descriptor that the mirror keeps; -errno. */
static int writable_locked(struct mirror *mirror, uint64_t generation)
{
	if (mirror->open_fd >= 0 && mirror->open_generation == generation)
		return mirror->open_fd;
	close_content_locked(mirror);
	autofree char *path = content_path(mirror, generation);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	mirror->open_fd = fd;
	mirror->open_generation = generation;
	return fd;
}

int mirror_append(struct mirror *mirror, uint64_t generation, int64_t offset, const void *data, size_t length,
		  struct error *err)
{
	struct stat st = { 0 };
	pthread_mutex_lock(&mirror->lock);
	int fd = writable_locked(mirror, generation);
	int status = fd < 0 ? fd : 0;
	if (status == 0 && fstat(fd, &st) < 0)
		status = -errno;
	if (status == 0 && st.st_size != offset)
		status = -EBADMSG;
	const char *at = data;
	while (status == 0 && length > 0) {
		ssize_t done = pwrite(fd, at, length, offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0) {
			status = -errno;
			break;
		}
		at += done;
		offset += done;
		length -= (size_t)done;
	}
	pthread_mutex_unlock(&mirror->lock);
	if (status == -EBADMSG)
		return error_set(err, EBADMSG, "the agent sent log data for offset %lld where %lld was due",
				 (long long)offset, (long long)st.st_size);
	return status < 0 ? error_sys(err, -status, "log data cannot be kept in %s", mirror->directory) : 0;
}

int mirror_truncate(struct mirror *mirror, uint64_t generation, int64_t size, struct error *err)
{
	pthread_mutex_lock(&mirror->lock);
	int fd = writable_locked(mirror, generation);
	int status = fd < 0 ? fd : ftruncate(fd, size) < 0 ? -errno : 0;
	pthread_mutex_unlock(&mirror->lock);
	return status < 0 ? error_sys(err, -status, "a log file cannot be cut in %s", mirror->directory) : 0;
}

static void fill_size(struct mirror *mirror, struct mirror_entry *entry)
{
	struct stat st;
	autofree char *path = content_path(mirror, entry->generation);
	if (entry->type != MIRROR_FILE || stat(path, &st) < 0)
		return;
	entry->size = st.st_size;
	entry->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

json_object *mirror_have(struct mirror *mirror)
{
	json_object *have = json_object_new_array();
	pthread_mutex_lock(&mirror->lock);
	for (size_t i = 0; i < mirror->count; i++) {
		struct mirror_entry *entry = &mirror->entries[i];
		if (entry->type != MIRROR_FILE)
			continue;
		fill_size(mirror, entry);
		json_object *pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_int64((int64_t)entry->generation));
		json_object_array_add(pair, json_object_new_int64(entry->size));
		json_object_array_add(have, pair);
	}
	pthread_mutex_unlock(&mirror->lock);
	return have;
}

int mirror_find(struct mirror *mirror, const char *path, struct mirror_entry *entry)
{
	int status = -ENOENT;
	pthread_mutex_lock(&mirror->lock);
	for (size_t i = 0; i < mirror->count && status < 0; i++) {
		if (!strcmp(mirror->entries[i].path, path)) {
			*entry = mirror->entries[i];
			status = 0;
		}
	}
	pthread_mutex_unlock(&mirror->lock);
	if (status == 0)
		fill_size(mirror, entry);
	return status;
}

int mirror_find_generation(struct mirror *mirror, uint64_t generation, struct mirror_entry *entry)
{
	int status = -ENOENT;
	pthread_mutex_lock(&mirror->lock);
	for (size_t i = 0; i < mirror->count && status < 0; i++) {
		if (mirror->entries[i].generation == generation) {
			*entry = mirror->entries[i];
			status = 0;
		}
	}
	pthread_mutex_unlock(&mirror->lock);
	if (status == 0)
		fill_size(mirror, entry);
	return status;
}

int mirror_list(struct mirror *mirror, const char *directory,
		int (*visit)(void *context, const char *name, const struct mirror_entry *entry),
		void *context)
{
	size_t prefix = strlen(directory);
	int status = 0;
	pthread_mutex_lock(&mirror->lock);
	for (size_t i = 0; i < mirror->count && status == 0; i++) {
		const char *name = mirror->entries[i].path;
		if (prefix) {
			if (strncmp(name, directory, prefix) || name[prefix] != '/')
				continue;
			name += prefix + 1;
		}
		if (!strchr(name, '/'))
			status = visit(context, name, &mirror->entries[i]);
	}
	pthread_mutex_unlock(&mirror->lock);
	return status;
}

int mirror_open_content(struct mirror *mirror, uint64_t generation)
{
	autofree char *path = content_path(mirror, generation);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}
