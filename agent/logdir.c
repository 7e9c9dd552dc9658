#include "agent/logdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/inode.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/utf8.h"

static int open_beneath(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

int logdir_open(const char *directory)
{
	int fd = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int logdir_open_directory(int root, const char *path)
{
	return open_beneath(root, path, O_PATH | O_DIRECTORY);
}

int logdir_open_file(int root, const char *path, struct stat *st)
{
	/* First without opening it: a pipe that is opened for reading lets its writer go on. */
	autoclose int place = open_beneath(root, path, O_PATH);
	if (place < 0)
		return place == -ENOENT ? -ENOENT : place == -ELOOP || place == -ENOTDIR ? -ENOENT : place;
	if (fstat(place, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return -ENOENT;
	char self[40];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", place);
	int fd = open(self, O_RDONLY | O_NOATIME | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

char *logdir_printable(const char *path)
{
	return utf8_escape(path, '\0');
}

void logdir_clear(struct logdir_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->entries[i].path);
		free(list->entries[i].name);
		free(list->entries[i].target);
	}
	free(list->entries);
	*list = (struct logdir_list){ 0 };
}

static struct logdir_entry *add_entry(struct logdir_list *list)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		struct logdir_entry *larger = reallocarray(list->entries, room, sizeof(*larger));
		if (!larger)
			return NULL;
		list->entries = larger;
		list->room = room;
	}
	struct logdir_entry *entry = &list->entries[list->count++];
	*entry = (struct logdir_entry){ 0 };
	return entry;
}

static int add_child(int directory, const char *parent, const char *name, const struct stat *st,
		     struct logdir_list *list)
{
	enum logdir_type type = S_ISREG(st->st_mode)   ? LOGDIR_FILE
				: S_ISDIR(st->st_mode) ? LOGDIR_DIRECTORY
						       : LOGDIR_LINK;
	autofree char *target = NULL;
	if (type == LOGDIR_LINK) {
		char text[4096];
		ssize_t length = readlinkat(directory, name, text, sizeof(text) - 1);
		if (length < 0)
			return 0;
		text[length] = '\0';
		target = logdir_printable(text);
	}
	struct logdir_entry *entry = add_entry(list);
	if (!entry)
		return -ENOMEM;
	entry->path = *parent ? format_string("%s/%s", parent, name) : format_string("%s", name);
	entry->name = logdir_printable(entry->path);
	list->bytes += strlen(entry->name) + (target ? strlen(target) : 0);
	entry->target = take_pointer(target);
	entry->type = type;
	entry->generation = st->st_ino;
	entry->mode = st->st_mode & 07777;
	entry->size = st->st_size;
	entry->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
	return 0;
}

static int scan_directory(int root, const char *path, int depth, dev_t device, const bool *stop,
			  struct logdir_list *list)
{
	autoclose int fd = open_beneath(root, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOATIME);
	if (fd < 0)
		return depth == 0 ? fd : 0; /* it has gone meanwhile */
	autoclosedir DIR *directory = fdopendir(fd);
	if (!directory)
		return -errno;
	int own = take_fd(fd);
	size_t first = list->count;
	struct dirent *child;
	while ((child = readdir(directory))) {
		if (stop && __atomic_load_n(stop, __ATOMIC_RELAXED))
			return -ECANCELED;
		if (strcmp(child->d_name, ".") == 0 || strcmp(child->d_name, "..") == 0)
			continue;
		struct stat st;
		if (fstatat(own, child->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != device)
			continue;
		if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
			continue;
		if (list->count >= LOGDIR_ENTRIES || list->bytes >= LOGDIR_BYTES) {
			list->cut = true;
			break;
		}
		int status = add_child(own, path, child->d_name, &st, list);
		if (status < 0)
			return status;
	}
	closedir(take_pointer(directory));

	size_t last = list->count;
	for (size_t i = first; i < last; i++) {
		if (list->entries[i].type != LOGDIR_DIRECTORY)
			continue;
		if (depth + 1 >= LOGDIR_DEPTH) {
			list->cut = true;
			break;
		}
		/* A copy: the array may move while the children are added. */
		autofree char *below = strdup(list->entries[i].path);
		int status = below ? scan_directory(root, below, depth + 1, device, stop, list) : -ENOMEM;
		if (status < 0)
			return status;
	}
	return 0;
}

static int compare_names(const void *one, const void *other)
{
	return strcmp(((const struct logdir_entry *)one)->name, ((const struct logdir_entry *)other)->name);
}

int logdir_scan(int root, const bool *stop, struct logdir_list *list)
{
	logdir_clear(list);
	struct stat st;
	if (fstat(root, &st) < 0)
		return -errno;
	int status = scan_directory(root, "", 0, st.st_dev, stop, list);
	if (status < 0 || list->count == 0)
		return status;
	qsort(list->entries, list->count, sizeof(*list->entries), compare_names);
	/* Two paths can be told alike only when one of them was no UTF-8. */
	size_t kept = 1;
	for (size_t i = 1; i < list->count; i++) {
		struct logdir_entry *entry = &list->entries[i];
		if (strcmp(entry->name, list->entries[kept - 1].name) != 0) {
			list->entries[kept++] = *entry;
			continue;
		}
		free(entry->path);
		free(entry->name);
		free(entry->target);
	}
	list->count = kept;
	return 0;
}

int logdir_compare_generations(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
	return a < b ? -1 : a > b;
}

static bool has_a_name(int place, uint64_t subvolume, uint64_t generation)
{
	struct stat st;
	autoclose int fd = inode_open(place, subvolume, generation, O_PATH);
	return fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink > 0;
}

size_t logdir_missed(int root, const struct logdir_list *list, uint64_t *generations, size_t count)
{
	uint64_t subvolume;
	size_t missed = 0;
	autofree uint64_t *seen = calloc(list->count + 1, sizeof(*seen));
	autoclose int place = open_beneath(root, ".", O_RDONLY | O_DIRECTORY | O_NOATIME);
	if (!seen || place < 0 || inode_subvolume(place, &subvolume) < 0)
		return 0;
	for (size_t i = 0; i < list->count; i++)
		seen[i] = list->entries[i].generation;
	qsort(seen, list->count, sizeof(*seen), logdir_compare_generations);
	for (size_t i = 0; i < count; i++)
		if (!bsearch(&generations[i], seen, list->count, sizeof(*seen), logdir_compare_generations) &&
		    has_a_name(place, subvolume, generations[i]))
			generations[missed++] = generations[i];
	return missed;
}

static int copy_entry(const struct logdir_entry *entry, struct logdir_list *list)
{
	struct logdir_entry copy = *entry;
	copy.path = strdup(entry->path);
	copy.name = strdup(entry->name);
	copy.target = entry->target ? strdup(entry->target) : NULL;
	struct logdir_entry *place = add_entry(list);
	if (copy.path && copy.name && (copy.target || !entry->target) && place) {
		*place = copy;
		return 0;
	}
	list->count -= place != NULL;
	free(copy.path);
	free(copy.name);
	free(copy.target);
	return -ENOMEM;
}

int logdir_keep(struct logdir_list *list, const struct logdir_list *from, const uint64_t *generations,
		size_t count)
{
	size_t sorted = list->count;
	int status = 0;
	for (size_t i = 0; i < from->count && status == 0; i++) {
		const struct logdir_entry *entry = &from->entries[i];
		if (bsearch(&entry->generation, generations, count, sizeof(*generations),
			    logdir_compare_generations) &&
		    !bsearch(entry, list->entries, sorted, sizeof(*entry), compare_names))
			status = copy_entry(entry, list);
	}
	qsort(list->entries, list->count, sizeof(*list->entries), compare_names);
	return status;
}

bool logdir_differs(const struct logdir_list *one, const struct logdir_list *other)
{
	if (one->count != other->count)
		return true;
	for (size_t i = 0; i < one->count; i++) {
		const struct logdir_entry *a = &one->entries[i], *b = &other->entries[i];
		if (a->generation != b->generation || a->type != b->type || a->mode != b->mode ||
		    strcmp(a->name, b->name) != 0 ||
		    strcmp(a->target ? a->target : "", b->target ? b->target : "") != 0)
			return true;
	}
	return false;
}

json_object *logdir_sizes(int root)
{
	struct logdir_list list = { 0 };
	json_object *sizes = json_object_new_array();
	logdir_scan(root, NULL, &list);
	for (size_t i = 0; i < list.count; i++) {
		if (list.entries[i].type != LOGDIR_FILE)
			continue;
		json_object *pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_uint64(list.entries[i].generation));
		json_object_array_add(pair, json_object_new_int64(list.entries[i].size));
		json_object_array_add(sizes, pair);
	}
	logdir_clear(&list);
	return sizes;
}
