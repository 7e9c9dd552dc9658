#include "fs/mirror_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/json.h"

enum { NAMES_MAX = 100000 };

const char *const mirror_type_names[] = { "file", "directory", "link" };

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
	const char *target = json_get_string(name, "target", "");
	int64_t generation = json_get_int(name, "generation", 0);
	size_t i = 0;
	while (i < array_length(mirror_type_names) && strcmp(mirror_type_names[i], type))
		i++;
	if (i == array_length(mirror_type_names) || !path_ok(path) || generation < 1 ||
	    generation > UINT32_MAX)
		return -EBADMSG;
	snprintf(entry->path, sizeof(entry->path), "%s", path);
	entry->type = (enum mirror_type)i;
	/* A link that leads out of the log directory would lead a reader into the reader's own files. */
	if (entry->type == MIRROR_LINK && (!path_ok(target) || strlen(target) >= sizeof(entry->target)))
		return -EBADMSG;
	if (entry->type == MIRROR_LINK)
		snprintf(entry->target, sizeof(entry->target), "%s", target);
	entry->generation = (uint64_t)generation;
	entry->mode = (mode_t)json_get_int(name, "mode", 0600) & 0777;
	entry->mtime_ns = json_get_int(name, "mtime_ns", 0);
	if (entry->mtime_ns < 0)
		entry->mtime_ns = 0;
	return 0;
}

static int compare_paths(const void *one, const void *other)
{
	return strcmp(((const struct mirror_entry *)one)->path, ((const struct mirror_entry *)other)->path);
}

static int compare_generations(const void *one, const void *other)
{
	uint64_t a = (*(struct mirror_entry *const *)one)->generation,
		 b = (*(struct mirror_entry *const *)other)->generation;
	return a < b ? -1 : a > b;
}

struct mirror_entry *mirror_names_find(const struct mirror_names *names, const char *path)
{
	struct mirror_entry key = { 0 };
	if (strlen(path) >= sizeof(key.path))
		return NULL;
	snprintf(key.path, sizeof(key.path), "%s", path);
	return names->count ? bsearch(&key, names->entries, names->count, sizeof(key), compare_paths) : NULL;
}

struct mirror_entry *mirror_names_find_generation(const struct mirror_names *names, uint64_t generation)
{
	struct mirror_entry key = { .generation = generation }, *at = &key;
	struct mirror_entry **found =
	    names->count ? bsearch(&at, names->by_generation, names->count, sizeof(at), compare_generations)
			 : NULL;
	return found ? *found : NULL;
}

void mirror_names_clear(struct mirror_names *names)
{
	free(names->entries);
	free(names->by_generation);
	*names = (struct mirror_names){ 0 };
}

static int compare_nodes(const void *one, const void *other)
{
	const struct mirror_entry *a = one, *b = other;
	return a->generation != b->generation ? (a->generation < b->generation ? -1 : 1)
					      : compare_paths(a, b);
}

/* A generation is one file, directory or link, and a directory has one path. */
static bool is_another_node(const struct mirror_entry *kept, const struct mirror_entry *entry)
{
	return kept->generation != entry->generation ||
	       (kept->type == entry->type && entry->type != MIRROR_DIRECTORY);
}

static bool is_another_path(const struct mirror_entry *kept, const struct mirror_entry *entry)
{
	return strcmp(kept->path, entry->path) != 0;
}

/* Sorts, and leaves out what contradicts the one before it. */
static void sort_entries(struct mirror_names *names, int (*compare)(const void *one, const void *other),
			 bool (*is_another)(const struct mirror_entry *kept,
					    const struct mirror_entry *entry))
{
	size_t kept = 0;
	qsort(names->entries, names->count, sizeof(*names->entries), compare);
	for (size_t i = 0; i < names->count; i++)
		if (kept == 0 || is_another(&names->entries[kept - 1], &names->entries[i]))
			names->entries[kept++] = names->entries[i];
	names->count = kept;
}

int mirror_names_parse(json_object *array, struct mirror_names *names)
{
	size_t room = json_object_array_length(array);
	*names = (struct mirror_names){ 0 };
	if (room > NAMES_MAX)
		return -EFBIG;
	names->entries = calloc(room + 1, sizeof(*names->entries));
	names->by_generation = calloc(room + 1, sizeof(*names->by_generation));
	if (!names->entries || !names->by_generation) {
		mirror_names_clear(names);
		return -ENOMEM;
	}
	for (size_t i = 0; i < room; i++)
		if (parse_entry(json_object_array_get_idx(array, i), &names->entries[names->count]) == 0)
			names->count++;
	sort_entries(names, compare_nodes, is_another_node);
	sort_entries(names, compare_paths, is_another_path);
	for (size_t i = 0; i < names->count; i++)
		names->by_generation[i] = &names->entries[i];
	qsort(names->by_generation, names->count, sizeof(*names->by_generation), compare_generations);
	return 0;
}

static int compare_numbers(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
	return a < b ? -1 : a > b;
}

bool mirror_coming_has(const struct mirror_coming *coming, uint64_t generation)
{
	return coming->count &&
	       bsearch(&generation, coming->generations, coming->count, sizeof(generation), compare_numbers);
}

int mirror_coming_add(json_object *array, const struct mirror_coming *before, struct mirror_coming *coming)
{
	size_t room = json_object_array_length(array), kept = 0;
	*coming = (struct mirror_coming){ 0 };
	if (room > NAMES_MAX || before->count > NAMES_MAX)
		return -EFBIG;
	coming->generations = calloc(before->count + room + 1, sizeof(*coming->generations));
	if (!coming->generations)
		return -ENOMEM;
	for (size_t i = 0; i < before->count; i++)
		coming->generations[coming->count++] = before->generations[i];
	for (size_t i = 0; i < room; i++) {
		int64_t generation = json_object_get_int64(json_object_array_get_idx(array, i));
		if (generation >= 1 && (uint64_t)generation < MIRROR_LOST_FIRST)
			coming->generations[coming->count++] = (uint64_t)generation;
	}
	qsort(coming->generations, coming->count, sizeof(*coming->generations), compare_numbers);
	for (size_t i = 0; i < coming->count; i++)
		if (kept == 0 || coming->generations[kept - 1] != coming->generations[i])
			coming->generations[kept++] = coming->generations[i];
	coming->count = kept;
	return 0;
}

struct mirror_hold *mirror_holds_find(const struct mirror_holds *holds, uint64_t generation)
{
	for (size_t i = 0; i < holds->count; i++)
		if (holds->holds[i].generation == generation)
			return &holds->holds[i];
	return NULL;
}

void mirror_holds_add(struct mirror_holds *holds, uint64_t generation)
{
	struct mirror_hold *hold = mirror_holds_find(holds, generation);
	if (!hold && holds->count == holds->room) {
		holds->room = holds->room ? 2 * holds->room : 8;
		holds->holds = reallocarray(holds->holds, holds->room, sizeof(*holds->holds));
		if (!holds->holds)
			abort();
	}
	if (!hold) {
		hold = &holds->holds[holds->count++];
		*hold = (struct mirror_hold){ .generation = generation };
	}
	hold->users++;
}

bool mirror_holds_drop(struct mirror_holds *holds, uint64_t generation)
{
	struct mirror_hold *hold = mirror_holds_find(holds, generation);
	if (!hold || --hold->users > 0)
		return false;
	bool nameless = hold->nameless;
	*hold = holds->holds[--holds->count];
	return nameless;
}
