#include "agent/tail_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"

enum {
	PACE_SCAN = 4,       /* walking a directory takes at most a fifth of the time */
	PACE_NAMES_NS = 500, /* for each byte of a names frame: 2 MB a second */
	SCANS = 10,          /* so often at once, while each misses what the job renames meanwhile */
};

static int compare_files(const void *one, const void *other)
{
	uint64_t a = ((const struct tail_file *)one)->generation,
		 b = ((const struct tail_file *)other)->generation;
	return a < b ? -1 : a > b;
}

static struct tail_file *find_file(struct tail_file *files, size_t count, uint64_t generation)
{
	struct tail_file key = { .generation = generation };
	return count ? bsearch(&key, files, count, sizeof(*files), compare_files) : NULL;
}

struct tail *tail_new(json_object *have)
{
	struct tail *tail = calloc(1, sizeof(*tail));
	size_t count = have ? json_object_array_length(have) : 0;
	if (!tail || (count && !(tail->have = calloc(count, sizeof(*tail->have)))))
		abort();
	for (size_t i = 0; i < count; i++) {
		json_object *pair = json_object_array_get_idx(have, i);
		if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) < 2)
			continue;
		int64_t size = json_object_get_int64(json_object_array_get_idx(pair, 1)),
			mtime_ns = json_object_get_int64(json_object_array_get_idx(pair, 2));
		if (size < 0)
			continue;
		tail->have[tail->have_count++] = (struct tail_file){
			.generation = json_object_get_uint64(json_object_array_get_idx(pair, 0)),
			.told = told_new(size),
			.mtime_ns = mtime_ns > 0 ? mtime_ns : INT64_MIN,
		};
	}
	if (tail->have_count)
		qsort(tail->have, tail->have_count, sizeof(*tail->have), compare_files);
	return tail;
}

static void free_files(struct tail_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		told_free(&files[i].told);
	free(files);
}

void tail_free(struct tail *tail)
{
	if (!tail)
		return;
	logdir_clear(&tail->known);
	free_files(tail->files, tail->count);
	free(tail->have);
	free(tail);
}

/* The files of a fresh list, with what is known of them. */
static int merge_files(struct tail *tail, const struct logdir_list *list)
{
	struct tail_file *files = calloc(list->count ? list->count : 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	size_t count = 0;
	for (size_t i = 0; i < list->count; i++) {
		if (list->entries[i].type == LOGDIR_FILE)
			files[count++] =
			    (struct tail_file){ .generation = list->entries[i].generation, .entry = i };
	}
	qsort(files, count, sizeof(*files), compare_files);
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (kept && files[kept - 1].generation == files[i].generation)
			continue; /* another name of the same file */
		const struct logdir_entry *entry = &list->entries[files[i].entry];
		struct tail_file *file = &files[kept++];
		*file = files[i];
		size_t place = file->entry;
		struct tail_file *old = find_file(tail->files, tail->count, file->generation);
		struct tail_file *had =
		    old ? NULL : find_file(tail->have, tail->have_count, file->generation);
		if (old) {
			*file = *old;
			old->told = told_new(0);
		} else {
			file->told = told_new(had ? had->told.offset : 0);
			file->announced = had;
			file->mtime_ns = had ? had->mtime_ns : INT64_MIN;
		}
		file->entry = place;
		file->due = entry->size;
		file->looked = false;
		if (entry->size != file->told.offset)
			file->again_ns = 0;
		if (entry->size != file->told.offset || entry->mtime_ns != file->mtime_ns || file->unsettled)
			file->behind = true;
	}
	free_files(tail->files, tail->count);
	tail->files = files;
	tail->count = kept;
	return 0;
}

/* What the other side has, ascending: all that was told, or what it said at first. Caller frees; NULL without memory. */
static uint64_t *told_generations(const struct tail *tail, size_t *count)
{
	*count = tail->named ? tail->known.count : tail->have_count;
	uint64_t *generations = calloc(*count + 1, sizeof(*generations));
	for (size_t i = 0; generations && i < *count; i++)
		generations[i] = tail->named ? tail->known.entries[i].generation : tail->have[i].generation;
	if (generations)
		qsort(generations, *count, sizeof(*generations), logdir_compare_generations);
	return generations;
}

/*
 * A list of all that there is. A file that it missed would be forgotten by the other side, and told again from its beginning:
 * what the last of some scans missed keeps the name that it had.
 */
static int scan_all(struct tail *tail, int root, const bool *stop, struct logdir_list *fresh)
{
	int status = 0;
	for (int left = SCANS; left > 0; left--) {
		size_t count;
		status = logdir_scan(root, stop, fresh);
		if (status < 0 || fresh->cut || (tail->named && !logdir_differs(&tail->known, fresh)))
			return status;
		autofree uint64_t *generations = told_generations(tail, &count);
		if (!generations)
			return -ENOMEM;
		count = logdir_missed(root, fresh, generations, count);
		if (count == 0)
			return 0;
		if (left == 1)
			status = logdir_keep(fresh, &tail->known, generations, count);
	}
	return status;
}

/* Files whose data the other side does not know where to put yet: 1 with a frame. */
static int announce(struct tail *tail, struct frame *frame)
{
	size_t count = 0;
	autofree uint64_t *generations = calloc(tail->count + 1, sizeof(*generations));
	if (!generations)
		return -ENOMEM;
	for (size_t i = 0; i < tail->count; i++) {
		if (tail->files[i].announced)
			continue;
		tail->files[i].announced = true;
		generations[count++] = tail->files[i].generation;
	}
	if (count)
		frame_coming(frame, generations, count);
	return count > 0;
}

/* Look at the whole directory; 1 with a frame. */
static int scan(struct tail *tail, int root, const bool *stop, struct frame *frame)
{
	int64_t before = clock_monotonic_ns();
	struct logdir_list fresh = { 0 };
	int status = scan_all(tail, root, stop, &fresh);
	if (status == 0)
		status = merge_files(tail, &fresh);
	if (status < 0) {
		logdir_clear(&fresh);
		return status;
	}
	if (fresh.cut && !tail->cut_told) {
		tail->cut_told = true;
		log_info("a log directory has too many names: those beyond the first %zu are not followed",
			 fresh.count);
	}
	tail->held |= !tail->named || logdir_differs(&tail->known, &fresh);
	logdir_clear(&tail->known);
	tail->known = fresh;
	tail->due = tail->lost = false;
	tail->named = true;
	tail->have_count = 0; /* a generation that was gone at the first look is forgotten */
	int64_t after = clock_monotonic_ns();
	tail->scan_at_ns = after + (after - before) * PACE_SCAN;
	return announce(tail, frame);
}

/*
 * Who sees a name sees what was in the file when it was named so: a result that is written and then renamed into its place is
 * there whole. What a file gets meanwhile is not waited for.
 */
static bool data_is_told(const struct tail *tail)
{
	for (size_t i = 0; i < tail->count; i++) {
		const struct tail_file *file = &tail->files[i];
		if (file->behind && (!file->looked || file->told.offset < file->due))
			return false;
	}
	return true;
}

static int tell_names(struct tail *tail, struct frame *frame)
{
	tail->held = false;
	frame_names(frame, &tail->known);
	tail->scan_at_ns += (int64_t)frame->length * PACE_NAMES_NS;
	return 1;
}

void tail_look_last(struct tail *tail, bool last)
{
	tail->last = last;
	for (size_t i = 0; last && i < tail->count; i++)
		if (tail->files[i].written_over) {
			tail->files[i].suspect = tail->files[i].behind = true;
			tail->files[i].again_ns = 0;
		}
}

/* Whichever comes first. */
static void wait_until(int64_t ns, int *again_ms)
{
	int64_t left = ns - clock_monotonic_ns();
	int ms = left > 0 ? (int)(left / 1000000) + 1 : 1;
	if (*again_ms == 0 || ms < *again_ms)
		*again_ms = ms;
}

int tail_next(struct tail *tail, int root, const bool *stop, bool wanted, struct frame *frame, int *again_ms)
{
	*again_ms = 0;
	if (wanted)
		tail->due = true;
	if (tail->due && (!tail->held || tail->lost) && clock_monotonic_ns() >= tail->scan_at_ns) {
		int status = scan(tail, root, stop, frame);
		if (status != 0)
			return status;
	}
	if (tail->held && !tail->lost && data_is_told(tail))
		return tell_names(tail, frame);
	/* In turn, so that a busy file does not keep the others waiting. */
	for (size_t i = 0; i < tail->count; i++) {
		if (__atomic_load_n(stop, __ATOMIC_RELAXED))
			return -ECANCELED;
		struct tail_file *file = &tail->files[tail->next++ % tail->count];
		if (file->behind && file->again_ns <= clock_monotonic_ns() &&
		    tail_look_at(tail, file, root, frame) == 1)
			return 1;
		if (file->behind)
			wait_until(file->again_ns, again_ms);
	}
	if (tail->held && !tail->lost)
		return tell_names(tail, frame);
	if (tail->due)
		wait_until(tail->scan_at_ns, again_ms);
	return 0;
}
