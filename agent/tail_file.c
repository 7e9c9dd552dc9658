/* What a look at one file of the log directory tells of it. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tail_inside.h"
#include "lib/cleanup.h"
#include "lib/clock.h"

enum {
	UNSETTLED_NS =
	    20000000,   /* a file written so shortly ago may change again under the same time stamp */
	PACE_CHECK = 4, /* comparing a file with what was told of it takes at most a fifth of the time */
	RESTLESS_NS = 1000000000, /* one that is written over all the time is compared so often */
};

/* By any of its names; -ENOENT when none leads to it any more. */
static int open_file(struct tail *tail, const struct tail_file *file, int root, struct stat *st)
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

static void suspect(struct tail_file *file, int64_t now_ns)
{
	file->suspect = true;
	file->suspect_ns = now_ns;
}

static int tell_truncated(struct tail_file *file, struct frame *frame)
{
	told_free(&file->told);
	file->mtime_ns = INT64_MIN;
	file->size = 0;
	file->suspect = false;
	frame_truncated(frame, file->generation);
	return 1;
}

/* 1 with a frame, when there is more of it; *whole: it is told to its end. */
static int tell_more(struct tail *tail, struct tail_file *file, int fd, const struct stat *st,
		     int64_t mtime_ns, struct frame *frame, bool *whole)
{
	struct told *told = &file->told;
	if (file->size != st->st_size) {
		file->size = st->st_size;
		file->size_mtime_ns = mtime_ns;
	}
	int64_t left = st->st_size - told->offset;
	ssize_t got = pread(fd, tail->burst, left < TAIL_BURST ? (size_t)left : TAIL_BURST, told->offset);
	*whole = got <= 0 || got == left;
	/* It was written while it was told, in parts, but not made longer. */
	if (*whole && file->size_mtime_ns != mtime_ns)
		suspect(file, clock_monotonic_ns());
	if (got <= 0)
		return 0;
	struct frame_piece data = { .generation = file->generation,
				    .offset = told->offset,
				    .mtime_ns = *whole && !file->suspect ? mtime_ns : 0 };
	frame_data(frame, &data, tail->burst, (size_t)got);
	told_add(told, tail->burst, (size_t)got);
	return 1;
}

/*
 * Time stamps of files change with more than writes that make them longer. An append is not yet whole when its time stamp
 * is seen: what is suspected is looked at when it has settled.
 */
static bool is_due_for_check(const struct tail *tail, struct tail_file *file, int64_t mtime_ns)
{
	int64_t now = clock_monotonic_ns(), age = clock_now_ns() - mtime_ns;
	if (file->told.checked >= 0 || tail->last)
		return true;
	file->again_ns = file->check_ns;
	if (age >= 0 && age < UNSETTLED_NS && now - file->suspect_ns < RESTLESS_NS &&
	    file->again_ns < now + UNSETTLED_NS)
		file->again_ns = now + UNSETTLED_NS;
	return file->again_ns <= now;
}

/* Compare it with what was told, a piece at a time: 1 with a frame. */
static int check(struct tail *tail, struct tail_file *file, int fd, int64_t mtime_ns, struct frame *frame)
{
	struct frame_piece data = { .generation = file->generation, .over = true };
	size_t length;
	if (file->told.checked < 0) {
		file->told.checked = 0;
		file->check_began_ns = clock_monotonic_ns();
		file->suspect = file->differed = false;
		file->check_mtime_ns = mtime_ns;
	}
	if (told_check(&file->told, fd, tail->burst, &data.offset, &length) == 1) {
		file->differed = file->written_over = true;
		frame_data(frame, &data, tail->burst, length);
		return 1;
	}
	if (file->told.checked >= 0)
		return 0;
	int64_t now = clock_monotonic_ns();
	file->check_ns = now + (now - file->check_began_ns) * PACE_CHECK;
	if (file->differed && !tail->last) {
		/* The next write through a mapping need not change the time stamp. */
		suspect(file, now);
		if (file->check_ns < now + RESTLESS_NS)
			file->check_ns = now + RESTLESS_NS;
	}
	frame_settled(frame, file->generation, file->check_mtime_ns);
	return 1;
}

int tail_look_at(struct tail *tail, struct tail_file *file, int root, struct frame *frame)
{
	struct stat st;
	file->looked = true;
	file->again_ns = 0;
	autoclose int fd = open_file(tail, file, root, &st);
	if (fd < 0) {
		/* Gone or renamed between: the next scan tells. */
		file->behind = false;
		tail->due = tail->lost = true;
		return 0;
	}
	int64_t mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	if (st.st_size < file->told.offset || !told_head_is_same(&file->told, fd))
		return tell_truncated(file, frame);

	int told = 0;
	bool whole = true;
	if (st.st_size > file->told.offset) {
		/* An append in two looks: the time stamp came first. */
		if (file->told.checked < 0)
			file->suspect = false;
		told = tell_more(tail, file, fd, &st, mtime_ns, frame, &whole);
	} else if (file->mtime_ns != INT64_MIN && file->mtime_ns != mtime_ns && !file->suspect) {
		suspect(file, clock_monotonic_ns());
	}
	if (!whole)
		return told;
	file->mtime_ns = mtime_ns;
	int64_t age = clock_now_ns() - mtime_ns; /* negative where a program or the clock was set so */
	file->unsettled = age >= 0 && age < UNSETTLED_NS;
	file->behind = file->suspect || file->told.checked >= 0;
	if (file->behind && !told && is_due_for_check(tail, file, mtime_ns))
		return check(tail, file, fd, mtime_ns, frame);
	return told;
}
