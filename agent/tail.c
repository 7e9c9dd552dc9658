#include "agent/tail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"

enum {
	HEAD_SIZE = 4096, /* so much of a file's beginning is compared */
	UNSETTLED_NS =
	    20000000,        /* a file written so shortly ago may change again under the same time stamp */
	PACE_SCAN = 4,       /* walking a directory takes at most a fifth of the time */
	PACE_NAMES_NS = 500, /* for each byte of a names frame: 2 MB a second */
	SCANS = 10,          /* so often at once, while each misses what the job renames meanwhile */
};

struct file {
	uint64_t generation;
	int64_t offset;     /* told up to here */
	int64_t mtime_ns;   /* when it was last compared and told to its end */
	uint64_t head_hash; /* of its first head_length bytes, as they were told */
	size_t head_length;
	size_t entry; /* one of its names in known */
	int64_t due;  /* told at least so far before the names are */
	bool behind;  /* has to be looked at */
	bool looked;  /* was, since the last scan */
	bool unsettled;
	bool announced; /* the other side takes its data */
};

struct tail {
	struct logdir_list known;
	struct file *files; /* sorted by generation */
	size_t count, next;
	struct file *have; /* what the other side said, sorted; until the first look */
	size_t have_count;
	bool due, named, cut_told;
	bool held; /* the names of `known` are still to be told, once the data is */
	bool
	    lost; /* and a file had another name when it was looked at: they are those of another scan then */
	int64_t scan_at_ns;
	char burst[TAIL_BURST];
};

static int compare_files(const void *one, const void *other)
{
	uint64_t a = ((const struct file *)one)->generation, b = ((const struct file *)other)->generation;
	return a < b ? -1 : a > b;
}

static struct file *find_file(struct file *files, size_t count, uint64_t generation)
{
	struct file key = { .generation = generation };
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
		if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2)
			continue;
		int64_t size = json_object_get_int64(json_object_array_get_idx(pair, 1));
		if (size < 0)
			continue;
		tail->have[tail->have_count++] = (struct file){
			.generation = json_object_get_uint64(json_object_array_get_idx(pair, 0)),
			.offset = size,
		};
	}
	if (tail->have_count)
		qsort(tail->have, tail->have_count, sizeof(*tail->have), compare_files);
	return tail;
}

void tail_free(struct tail *tail)
{
	if (!tail)
		return;
	logdir_clear(&tail->known);
	free(tail->files);
	free(tail->have);
	free(tail);
}

/* FNV-1a. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t length)
{
	const unsigned char *at = data;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ at[i]) * 0x100000001b3;
	return hash;
}

static const uint64_t hash_start = 0xcbf29ce484222325;

/* The files of a fresh list, with what is known of them. */
static int merge_files(struct tail *tail, const struct logdir_list *list)
{
	struct file *files = calloc(list->count ? list->count : 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	size_t count = 0;
	for (size_t i = 0; i < list->count; i++) {
		if (list->entries[i].type == LOGDIR_FILE)
			files[count++] =
			    (struct file){ .generation = list->entries[i].generation, .entry = i };
	}
	qsort(files, count, sizeof(*files), compare_files);
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (kept && files[kept - 1].generation == files[i].generation)
			continue; /* another name of the same file */
		const struct logdir_entry *entry = &list->entries[files[i].entry];
		struct file *file = &files[kept++];
		*file = files[i];
		size_t place = file->entry;
		struct file *old = find_file(tail->files, tail->count, file->generation);
		struct file *had = old ? NULL : find_file(tail->have, tail->have_count, file->generation);
		if (old) {
			*file = *old;
		} else {
			file->offset = had ? had->offset : 0;
			file->announced = had;
			file->head_hash = hash_start;
			file->mtime_ns = INT64_MIN;
		}
		file->entry = place;
		file->due = entry->size;
		file->looked = false;
		if (entry->size != file->offset || entry->mtime_ns != file->mtime_ns || file->unsettled)
			file->behind = true;
	}
	free(tail->files);
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
		const struct file *file = &tail->files[i];
		if (file->behind && (!file->looked || file->offset < file->due))
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

/* By any of its names; -ENOENT when none leads to it any more. */
static int open_file(struct tail *tail, const struct file *file, int root, struct stat *st)
{
	for (size_t i = 0; i < tail->known.count; i++) {
		const struct logdir_entry *entry =
		    &tail->known.entries[(file->entry + i) % tail->known.count];
		if (entry->type != LOGDIR_FILE || entry->generation != file->generation)
			continue;
		autoclose int fd = logdir_open_file(root, entry->path, st);
		if (fd >= 0 && st->st_ino == file->generation)
			return take_fd(fd);
	}
	return -ENOENT;
}

static int tell_truncated(struct file *file, struct frame *frame)
{
	file->offset = 0;
	file->head_length = 0;
	file->head_hash = hash_start;
	file->mtime_ns = INT64_MIN;
	frame_truncated(frame, file->generation);
	return 1;
}

/* Whether the file begins with what was told. Short reads are left to the size check of the next look. */
static bool head_is_same(struct file *file, int fd)
{
	unsigned char head[HEAD_SIZE];
	size_t wanted = file->head_length;
	if (wanted == 0)
		wanted = file->offset < HEAD_SIZE ? (size_t)file->offset : HEAD_SIZE;
	if (wanted == 0)
		return true;
	ssize_t got = pread(fd, head, wanted, 0);
	if (got != (ssize_t)wanted)
		return got < 0;
	uint64_t hash = hash_bytes(hash_start, head, wanted);
	if (file->head_length == 0) {
		/* Told by an earlier stream: from here on it is compared with what it is now. */
		file->head_length = wanted;
		file->head_hash = hash;
	}
	return hash == file->head_hash;
}

/* One look at one file: 1 with a frame, 0 when it is told to its end. */
static int look(struct tail *tail, struct file *file, int root, struct frame *frame)
{
	struct stat st;
	file->looked = true;
	autoclose int fd = open_file(tail, file, root, &st);
	if (fd < 0) {
		/* Gone or renamed between: the next scan tells. */
		file->behind = false;
		tail->due = tail->lost = true;
		return 0;
	}
	int64_t mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	if (st.st_size < file->offset || !head_is_same(file, fd))
		return tell_truncated(file, frame);

	int told = 0;
	if (st.st_size > file->offset) {
		int64_t left = st.st_size - file->offset;
		ssize_t got =
		    pread(fd, tail->burst, left < TAIL_BURST ? (size_t)left : TAIL_BURST, file->offset);
		if (got > 0) {
			if (file->offset == (int64_t)file->head_length && file->head_length < HEAD_SIZE) {
				size_t more = HEAD_SIZE - file->head_length;
				if (more > (size_t)got)
					more = (size_t)got;
				file->head_hash = hash_bytes(file->head_hash, tail->burst, more);
				file->head_length += more;
			}
			frame_data(frame, file->generation, file->offset, tail->burst, (size_t)got);
			file->offset += got;
			told = 1;
		}
		if (got > 0 && file->offset < st.st_size)
			return told;
	}
	file->behind = false;
	file->mtime_ns = mtime_ns;
	file->unsettled = clock_now_ns() - mtime_ns < UNSETTLED_NS;
	return told;
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
		struct file *file = &tail->files[tail->next++ % tail->count];
		if (file->behind && look(tail, file, root, frame) == 1)
			return 1;
	}
	if (tail->held && !tail->lost)
		return tell_names(tail, frame);
	if (tail->due) {
		int64_t left = tail->scan_at_ns - clock_monotonic_ns();
		*again_ms = left > 0 ? (int)(left / 1000000) + 1 : 1;
	}
	return 0;
}
