#include "fs/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/mirror_inside.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"

/* The time stamp that the file had on its volume when all of it was here. */
#define SETTLED_ATTRIBUTE "user.floatfs.settled"

char *mirror_content_path(struct mirror *mirror, uint64_t generation)
{
	return format_string("%s/%llu", mirror->directory, (unsigned long long)generation);
}

void mirror_close_content_locked(struct mirror *mirror)
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
	mirror->lost = json_object_new_array();
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
	json_object *lost = status == 0 ? json_get_array(object, "lost") : NULL;
	if (lost) {
		json_object_put(mirror->lost);
		mirror->lost = json_object_get(lost);
	}
	if (status == 0 && mirror_names_parse(names, &mirror->names) < 0)
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
	mirror_close_content_locked(mirror);
	pthread_mutex_destroy(&mirror->lock);
	mirror_names_clear(&mirror->names);
	json_object_put(mirror->lost);
	free(mirror->coming.generations);
	free(mirror->holds.holds);
	free(mirror->directory);
	free(mirror);
}

static void delete_content(struct mirror *mirror, uint64_t generation)
{
	autofree char *path = mirror_content_path(mirror, generation);
	unlink(path);
}

/* Where no name leads to it. Who has it open keeps it: entry is what it was. */
static void drop_content(struct mirror *mirror, uint64_t generation, const struct mirror_entry *entry)
{
	const struct mirror_entry *still = mirror_names_find_generation(&mirror->names, generation);
	struct mirror_hold *hold = mirror_holds_find(&mirror->holds, generation);
	if (still && still->type == MIRROR_FILE)
		return;
	if (!hold || !entry) {
		delete_content(mirror, generation);
		return;
	}
	hold->nameless = true;
	hold->entry = *entry;
}

/* What had no name any more has one again: it is told from its beginning. */
static void renew_content(struct mirror *mirror, uint64_t generation)
{
	struct mirror_hold *hold = mirror_holds_find(&mirror->holds, generation);
	if (!hold || !hold->nameless)
		return;
	hold->nameless = false;
	delete_content(mirror, generation);
}

/* All that came has a name now, or is gone. */
static void forget_coming_locked(struct mirror *mirror)
{
	for (size_t i = 0; i < mirror->coming.count; i++)
		drop_content(mirror, mirror->coming.generations[i], NULL);
	free(mirror->coming.generations);
	mirror->coming = (struct mirror_coming){ 0 };
}

/* What an earlier floatfs had of a file that never came to a name here is told again from its beginning. */
int mirror_set_coming(struct mirror *mirror, json_object *array, struct error *err)
{
	struct mirror_coming fresh, old;
	pthread_mutex_lock(&mirror->lock);
	int status = mirror_coming_add(array, &mirror->coming, &fresh);
	if (status == 0) {
		old = mirror->coming;
		mirror->coming = fresh;
		for (size_t i = 0; i < fresh.count; i++)
			if (!mirror_coming_has(&old, fresh.generations[i])) {
				renew_content(mirror, fresh.generations[i]);
				drop_content(mirror, fresh.generations[i], NULL);
			}
		free(old.generations);
	}
	pthread_mutex_unlock(&mirror->lock);
	if (status == 0)
		status = file_make_directories(mirror->directory, 0700);
	return status < 0 ? error_sys(err, -status, "log data cannot be kept in %s", mirror->directory) : 0;
}

bool mirror_is_lost(int64_t generation)
{
	return (uint64_t)generation >= MIRROR_LOST_FIRST;
}

/* What an agent names, and what is ours. */
static json_object *add_lost(struct mirror *mirror, json_object *array)
{
	json_object *all = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		json_object *name = json_object_array_get_idx(array, i);
		if (!mirror_is_lost(json_get_int(name, "generation", 0)))
			json_object_array_add(all, json_object_get(name));
	}
	for (size_t i = 0; i < json_object_array_length(mirror->lost); i++)
		json_object_array_add(all, json_object_get(json_object_array_get_idx(mirror->lost, i)));
	return all;
}

int mirror_set_names(struct mirror *mirror, json_object *array, struct error *err)
{
	struct mirror_names fresh, old;
	autojson json_object *all = add_lost(mirror, array);
	int status = mirror_names_parse(all, &fresh);
	if (status == 0)
		status = file_make_directories(mirror->directory, 0700);
	if (status == 0) {
		autojson json_object *index = json_object_new_object();
		autofree char *path = format_string("%s/index.json", mirror->directory);
		json_object_object_add(index, "names", json_object_get(all));
		json_object_object_add(index, "lost", json_object_get(mirror->lost));
		status = json_write_file(path, index, 0600);
	}
	if (status < 0) {
		mirror_names_clear(&fresh);
		return error_sys(err, -status, "the names of the log directory cannot be kept in %s",
				 mirror->directory);
	}
	pthread_mutex_lock(&mirror->lock);
	old = mirror->names;
	mirror->names = fresh;
	mirror_close_content_locked(mirror);
	for (size_t i = 0; i < old.count; i++)
		if (old.entries[i].type == MIRROR_FILE)
			drop_content(mirror, old.entries[i].generation, &old.entries[i]);
	forget_coming_locked(mirror);
	pthread_mutex_unlock(&mirror->lock);
	mirror_names_clear(&old);
	return 0;
}

/* A descriptor that the mirror keeps; -ENOENT for a file that has no name here, -errno. */
static int writable_locked(struct mirror *mirror, uint64_t generation)
{
	if (mirror->open_fd >= 0 && mirror->open_generation == generation)
		return mirror->open_fd;
	mirror_close_content_locked(mirror);
	struct mirror_entry *entry = mirror_names_find_generation(&mirror->names, generation);
	if (!(entry && entry->type == MIRROR_FILE) && !mirror_coming_has(&mirror->coming, generation))
		return -ENOENT;
	autofree char *path = mirror_content_path(mirror, generation);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	mirror->open_fd = fd;
	mirror->open_generation = generation;
	return fd;
}

static int write_at(int fd, const char *at, size_t length, int64_t offset)
{
	while (length > 0) {
		ssize_t done = pwrite(fd, at, length, offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		at += done;
		offset += done;
		length -= (size_t)done;
	}
	return 0;
}

/* over: within what is here, and not where it ends. */
static int take_data(struct mirror *mirror, uint64_t generation, int64_t offset, const void *data,
		     size_t length, bool over, struct error *err)
{
	struct stat st = { 0 };
	pthread_mutex_lock(&mirror->lock);
	int fd = writable_locked(mirror, generation);
	int status = fd < 0 ? fd : 0;
	if (status == 0 && fstat(fd, &st) < 0)
		status = -errno;
	if (status == 0 &&
	    (over ? offset > st.st_size || (int64_t)length > st.st_size - offset : offset != st.st_size))
		status = -EBADMSG;
	if (status == 0)
		status = write_at(fd, data, length, offset);
	pthread_mutex_unlock(&mirror->lock);
	/* Its name was left out: so is what it holds. */
	if (fd == -ENOENT)
		return 0;
	if (status == -EBADMSG)
		return error_set(err, EBADMSG, "the agent sent log data for offset %lld of %lld bytes",
				 (long long)offset, (long long)st.st_size);
	return status < 0 ? error_sys(err, -status, "log data cannot be kept in %s", mirror->directory) : 0;
}

int mirror_append(struct mirror *mirror, uint64_t generation, int64_t offset, const void *data, size_t length,
		  struct error *err)
{
	return take_data(mirror, generation, offset, data, length, false, err);
}

int mirror_write_over(struct mirror *mirror, uint64_t generation, int64_t offset, const void *data,
		      size_t length, struct error *err)
{
	return take_data(mirror, generation, offset, data, length, true, err);
}

void mirror_settle(struct mirror *mirror, uint64_t generation, int64_t mtime_ns)
{
	pthread_mutex_lock(&mirror->lock);
	int fd = writable_locked(mirror, generation);
	/* Where that cannot be kept, it is not known the next time: what is written over meanwhile is not noticed then. */
	if (fd >= 0)
		(void)!fsetxattr(fd, SETTLED_ATTRIBUTE, &mtime_ns, sizeof(mtime_ns), 0);
	pthread_mutex_unlock(&mirror->lock);
}

/* 0: not known. */
static int64_t settled_at(struct mirror *mirror, uint64_t generation)
{
	autofree char *path = mirror_content_path(mirror, generation);
	int64_t mtime_ns;
	return getxattr(path, SETTLED_ATTRIBUTE, &mtime_ns, sizeof(mtime_ns)) == sizeof(mtime_ns) ? mtime_ns
												  : 0;
}

int mirror_truncate(struct mirror *mirror, uint64_t generation, int64_t size, struct error *err)
{
	struct stat st;
	pthread_mutex_lock(&mirror->lock);
	int fd = writable_locked(mirror, generation);
	int status = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : 0;
	if (status == 0 && (size < 0 || size > st.st_size))
		status = -EBADMSG;
	if (status == 0 && ftruncate(fd, size) < 0)
		status = -errno;
	pthread_mutex_unlock(&mirror->lock);
	if (fd == -ENOENT)
		return 0;
	return status < 0 ? error_sys(err, -status, "a log file cannot be cut in %s", mirror->directory) : 0;
}

void mirror_fill_size(struct mirror *mirror, struct mirror_entry *entry)
{
	struct stat st;
	autofree char *path = mirror_content_path(mirror, entry->generation);
	if (entry->type != MIRROR_FILE || stat(path, &st) < 0)
		return;
	entry->size = st.st_size;
	entry->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static void add_have(struct mirror *mirror, struct mirror_entry *entry, json_object *have)
{
	json_object *pair = json_object_new_array();
	mirror_fill_size(mirror, entry);
	json_object_array_add(pair, json_object_new_int64((int64_t)entry->generation));
	json_object_array_add(pair, json_object_new_int64(entry->size));
	int64_t mtime_ns = settled_at(mirror, entry->generation);
	if (mtime_ns)
		json_object_array_add(pair, json_object_new_int64(mtime_ns));
	json_object_array_add(have, pair);
}

json_object *mirror_have(struct mirror *mirror)
{
	json_object *have = json_object_new_array();
	pthread_mutex_lock(&mirror->lock);
	for (size_t i = 0; i < mirror->names.count; i++)
		if (mirror->names.entries[i].type == MIRROR_FILE &&
		    !mirror_is_lost((int64_t)mirror->names.entries[i].generation))
			add_have(mirror, &mirror->names.entries[i], have);
	for (size_t i = 0; i < mirror->coming.count; i++) {
		struct mirror_entry entry = { .generation = mirror->coming.generations[i],
					      .type = MIRROR_FILE };
		if (!mirror_names_find_generation(&mirror->names, entry.generation))
			add_have(mirror, &entry, have);
	}
	pthread_mutex_unlock(&mirror->lock);
	return have;
}

static int copy_found(struct mirror *mirror, const struct mirror_entry *found, struct mirror_entry *entry)
{
	if (found)
		*entry = *found;
	pthread_mutex_unlock(&mirror->lock);
	if (!found)
		return -ENOENT;
	mirror_fill_size(mirror, entry);
	return 0;
}

int mirror_find(struct mirror *mirror, const char *path, struct mirror_entry *entry)
{
	pthread_mutex_lock(&mirror->lock);
	return copy_found(mirror, mirror_names_find(&mirror->names, path), entry);
}

int mirror_find_generation(struct mirror *mirror, uint64_t generation, struct mirror_entry *entry)
{
	pthread_mutex_lock(&mirror->lock);
	const struct mirror_entry *found = mirror_names_find_generation(&mirror->names, generation);
	const struct mirror_hold *hold = found ? NULL : mirror_holds_find(&mirror->holds, generation);
	return copy_found(mirror, hold && hold->nameless ? &hold->entry : found, entry);
}

int mirror_hold(struct mirror *mirror, uint64_t generation)
{
	pthread_mutex_lock(&mirror->lock);
	bool there = mirror_names_find_generation(&mirror->names, generation) ||
		     mirror_holds_find(&mirror->holds, generation);
	if (there)
		mirror_holds_add(&mirror->holds, generation);
	pthread_mutex_unlock(&mirror->lock);
	return there ? 0 : -ENOENT;
}

void mirror_let_go(struct mirror *mirror, uint64_t generation)
{
	pthread_mutex_lock(&mirror->lock);
	if (mirror_holds_drop(&mirror->holds, generation))
		drop_content(mirror, generation, NULL);
	pthread_mutex_unlock(&mirror->lock);
}

int mirror_list(struct mirror *mirror, const char *directory,
		int (*visit)(void *context, const char *name, const struct mirror_entry *entry),
		void *context)
{
	size_t prefix = strlen(directory);
	int status = 0;
	pthread_mutex_lock(&mirror->lock);
	for (size_t i = 0; i < mirror->names.count && status == 0; i++) {
		const char *name = mirror->names.entries[i].path;
		if (prefix) {
			if (strncmp(name, directory, prefix) || name[prefix] != '/')
				continue;
			name += prefix + 1;
		}
		if (!strchr(name, '/'))
			status = visit(context, name, &mirror->names.entries[i]);
	}
	pthread_mutex_unlock(&mirror->lock);
	return status;
}

int mirror_open_content(struct mirror *mirror, uint64_t generation)
{
	autofree char *path = mirror_content_path(mirror, generation);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}
