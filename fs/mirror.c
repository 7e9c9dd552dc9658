#include "fs/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/mirror_names.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"

struct mirror {
	char *directory;
	pthread_mutex_t lock; /* guards what follows */
	struct mirror_names names;
	json_object *lost; /* array of names as agents tell them: of what was cut off */
	struct mirror_coming coming;
	struct mirror_holds holds;
	/* The generation that was appended to last, kept open: most data comes in runs of one file. */
	uint64_t open_generation;
	int open_fd;
};

static char *content_path(struct mirror *mirror, uint64_t generation)
{
	return format_string("%s/%llu", mirror->directory, (unsigned long long)generation);
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
	close_content_locked(mirror);
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
	autofree char *path = content_path(mirror, generation);
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

static bool is_lost(int64_t generation)
{
	return (uint64_t)generation >= MIRROR_LOST_FIRST;
}

/* What an agent names, and what is ours. */
static json_object *add_lost(struct mirror *mirror, json_object *array)
{
	json_object *all = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		json_object *name = json_object_array_get_idx(array, i);
		if (!is_lost(json_get_int(name, "generation", 0)))
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
	close_content_locked(mirror);
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
	close_content_locked(mirror);
	struct mirror_entry *entry = mirror_names_find_generation(&mirror->names, generation);
	if (!(entry && entry->type == MIRROR_FILE) && !mirror_coming_has(&mirror->coming, generation))
		return -ENOENT;
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
	/* Its name was left out: so is what it holds. */
	if (fd == -ENOENT)
		return 0;
	if (status == -EBADMSG)
		return error_set(err, EBADMSG, "the agent sent log data for offset %lld where %lld was due",
				 (long long)offset, (long long)st.st_size);
	return status < 0 ? error_sys(err, -status, "log data cannot be kept in %s", mirror->directory) : 0;
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

static void fill_size(struct mirror *mirror, struct mirror_entry *entry)
{
	struct stat st;
	autofree char *path = content_path(mirror, entry->generation);
	if (entry->type != MIRROR_FILE || stat(path, &st) < 0)
		return;
	entry->size = st.st_size;
	entry->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static void add_have(struct mirror *mirror, struct mirror_entry *entry, json_object *have)
{
	json_object *pair = json_object_new_array();
	fill_size(mirror, entry);
	json_object_array_add(pair, json_object_new_int64((int64_t)entry->generation));
	json_object_array_add(pair, json_object_new_int64(entry->size));
	json_object_array_add(have, pair);
}

json_object *mirror_have(struct mirror *mirror)
{
	json_object *have = json_object_new_array();
	pthread_mutex_lock(&mirror->lock);
	for (size_t i = 0; i < mirror->names.count; i++)
		if (mirror->names.entries[i].type == MIRROR_FILE &&
		    !is_lost((int64_t)mirror->names.entries[i].generation))
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
	fill_size(mirror, entry);
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
	autofree char *path = content_path(mirror, generation);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* ---- what is cut off ---- */

static json_object *describe(const struct mirror_entry *entry)
{
	json_object *name = json_object_new_object();
	json_set_string(name, "path", entry->path);
	json_set_int(name, "generation", (int64_t)entry->generation);
	json_set_string(name, "type", mirror_type_names[entry->type]);
	json_set_int(name, "mode", entry->mode);
	json_set_int(name, "mtime_ns", entry->mtime_ns);
	if (entry->type == MIRROR_LINK)
		json_set_string(name, "target", entry->target);
	return name;
}

/* -1: it was not there then. */
static int64_t size_then(json_object *logs, uint64_t generation)
{
	for (size_t i = 0; i < json_object_array_length(logs); i++) {
		json_object *pair = json_object_array_get_idx(logs, i);
		if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2)
			continue;
		if (json_object_get_uint64(json_object_array_get_idx(pair, 0)) == generation)
			return json_object_get_int64(json_object_array_get_idx(pair, 1));
	}
	return -1;
}

static int copy_rest(struct mirror *mirror, const struct mirror_entry *from, int64_t offset,
		     const struct mirror_entry *to)
{
	autofree char *source = content_path(mirror, from->generation),
		      *target = content_path(mirror, to->generation);
	autoclose int in = open(source, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	autoclose int out = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (in < 0 || out < 0)
		return -errno;
	off64_t at = offset;
	ssize_t done;
	while ((done = copy_file_range(in, &at, out, NULL, 1 << 30, 0)) > 0)
		;
	/* What is kept must be there before it is cut off. */
	return done < 0 || fsync(out) < 0 || ftruncate(in, offset) < 0 ? -errno : 0;
}

/* A name that nothing has. */
static int name_lost(struct mirror *mirror, const struct mirror_entry *entry, struct mirror_entry *lost)
{
	*lost = *entry;
	lost->generation = MIRROR_LOST_FIRST + json_object_array_length(mirror->lost);
	for (int i = 1;; i++) {
		int length = snprintf(lost->path, sizeof(lost->path), "%s.lost-%d", entry->path, i);
		if (length < 0 || (size_t)length >= sizeof(lost->path))
			return -ENAMETOOLONG;
		if (!mirror_names_find(&mirror->names, lost->path))
			return 0;
	}
}

int mirror_cut(struct mirror *mirror, json_object *logs,
	       void (*tell)(void *context, const char *path, int64_t size, const char *kept), void *context,
	       struct error *err)
{
	autojson json_object *names = json_object_new_array(), *cuts = json_object_new_array();
	int status = 0;
	if (!logs)
		return error_set(err, EBADMSG, "nobody knows how long the log files were");
	pthread_mutex_lock(&mirror->lock);
	close_content_locked(mirror);
	for (size_t i = 0; i < mirror->names.count && status == 0; i++) {
		struct mirror_entry *entry = mirror->names.by_generation[i], lost;
		if (is_lost((int64_t)entry->generation))
			continue;
		int64_t then = size_then(logs, entry->generation);
		if (entry->type != MIRROR_FILE || then >= 0)
			json_object_array_add(names, describe(entry));
		fill_size(mirror, entry);
		/* Another name of the file before it: that was cut. */
		if (entry->type != MIRROR_FILE || entry->size <= (then < 0 ? 0 : then))
			continue;
		status = name_lost(mirror, entry, &lost);
		if (status == 0)
			status = copy_rest(mirror, entry, then < 0 ? 0 : then, &lost);
		if (status < 0)
			break;
		json_object_array_add(mirror->lost, describe(&lost));
		json_object *cut = describe(entry);
		json_set_int(cut, "size", then < 0 ? 0 : then);
		json_set_string(cut, "kept", lost.path);
		json_object_array_add(cuts, cut);
	}
	pthread_mutex_unlock(&mirror->lock);
	for (size_t i = 0; i < json_object_array_length(cuts); i++) {
		json_object *cut = json_object_array_get_idx(cuts, i);
		tell(context, json_get_string(cut, "path", ""), json_get_int(cut, "size", 0),
		     json_get_string(cut, "kept", ""));
	}
	if (status < 0)
		return error_sys(err, -status, "what is cut off cannot be kept in %s", mirror->directory);
	return mirror_set_names(mirror, names, err);
}
