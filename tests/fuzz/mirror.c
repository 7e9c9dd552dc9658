/* An agent's stream into the mirror of a log directory; what has come of it is the same after a restart. */
#include "fs/mirror.h"

#include "fs/frames.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "tests/fuzz/fuzz.h"

struct taken {
	struct mirror *mirror;
	bool coming; /* data is here that has no name: it does not outlive a restart */
};

static int take_frame(void *context, json_object *frame)
{
	struct taken *taken = context;
	json_object *names = json_get_array(frame, "names"), *coming = json_get_array(frame, "coming");
	struct error err = { 0 };
	int64_t generation = json_get_int(frame, "truncated", 0);
	if (names) {
		int status = mirror_set_names(taken->mirror, names, &err);
		taken->coming &= status < 0;
		return status;
	}
	if (coming) {
		taken->coming = true;
		return mirror_set_coming(taken->mirror, coming, &err);
	}
	return generation > 0 ? mirror_truncate(taken->mirror, (uint64_t)generation,
						json_get_int(frame, "size", 0), &err)
			      : 0;
}

static int take_data(void *context, const struct frames_data *at, const void *bytes, size_t length)
{
	struct taken *taken = context;
	struct error err = { 0 };
	if (at->mtime_ns > 0)
		mirror_settle(taken->mirror, at->generation, at->mtime_ns);
	if (at->over)
		return mirror_write_over(taken->mirror, at->generation, at->offset, bytes, length, &err);
	return mirror_append(taken->mirror, at->generation, at->offset, bytes, length, &err);
}

struct list {
	struct mirror_entry *entries;
	size_t count;
};

static int collect(void *context, const char *name, const struct mirror_entry *entry)
{
	struct list *list = context;
	fuzz_check(*name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, ".."));
	list->entries = reallocarray(list->entries, list->count + 1, sizeof(*entry));
	fuzz_check(list->entries);
	list->entries[list->count++] = *entry;
	return 0;
}

/* How many are in it and below; each is found by its name and, as node ids are made of it, by its generation. */
static size_t walk(struct mirror *mirror, const char *directory)
{
	struct list list = { 0 };
	size_t total = 0;
	fuzz_check(mirror_list(mirror, directory, collect, &list) == 0);
	for (size_t i = 0; i < list.count; i++) {
		const struct mirror_entry *entry = &list.entries[i];
		struct mirror_entry found;
		fuzz_check(entry->mtime_ns >= 0 && entry->target[0] != '/');
		fuzz_check(i == 0 || strcmp(entry[-1].path, entry->path));
		fuzz_check(mirror_find(mirror, entry->path, &found) == 0);
		fuzz_check(found.generation == entry->generation && found.type == entry->type);
		fuzz_check(mirror_find_generation(mirror, entry->generation, &found) == 0);
		fuzz_check(found.type == entry->type);
		total++;
		if (entry->type != MIRROR_DIRECTORY)
			continue;
		fuzz_check(!strcmp(found.path, entry->path));
		total += walk(mirror, entry->path);
	}
	free(list.entries);
	return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct frames_taker taker = { take_frame, take_data };
	autofree char *directory = format_string("%s/log", fuzz_scratch());
	struct mirror *mirror, *again;
	struct error err = { 0 };
	fuzz_check(mirror_open(directory, &mirror, &err) == 0);
	struct taken taken = { .mirror = mirror };
	struct frames frames = { .taker = &taker, .context = &taken };
	frames_take(&frames, data, size, &err);
	frames_free(&frames);

	autojson json_object *have = mirror_have(mirror), *have_again = NULL;
	fuzz_check(mirror_open(directory, &again, &err) == 0);
	have_again = mirror_have(again);
	fuzz_check(taken.coming || json_object_equal(have, have_again));
	fuzz_check(walk(mirror, "") == walk(again, ""));
	mirror_close(again);
	mirror_close(mirror);
	file_remove_tree(directory);
	return 0;
}
