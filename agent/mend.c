/* criu's images are protobuf messages: images/core.proto, fdinfo.proto and timerfd.proto of its source. */
#include "agent/mend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/criu_image.h"
#include "agent/mend_inside.h"
#include "agent/protobuf.h"
#include "lib/cleanup.h"

enum {
	FILE_TYPE = 1,
	FILE_TYPE_TIMERFD = 17,
	FILE_TIMERFD = 12,
	TIMERFD_SETTIME_FLAGS = 6,
	TIMERFD_SECONDS = 7,
	TIMERFD_NANOSECONDS = 8,
	TIMERFD_EVERY_SECONDS = 9,
	TIMERFD_EVERY_NANOSECONDS = 10,
};

/* ---- timerfds ---- */

/* Its time is what is left of it, whatever the flags say; one that has expired has none left until it is read. */
static void put_timerfd(struct buffer *buffer, struct span timer)
{
	uint64_t seconds = protobuf_value(timer, TIMERFD_SECONDS),
		 nanoseconds = protobuf_value(timer, TIMERFD_NANOSECONDS);
	struct field field;
	if (seconds == 0 && nanoseconds == 0) {
		seconds = protobuf_value(timer, TIMERFD_EVERY_SECONDS);
		nanoseconds = protobuf_value(timer, TIMERFD_EVERY_NANOSECONDS);
	}
	while (protobuf_next(&timer, &field))
		if (field.number < TIMERFD_SETTIME_FLAGS || field.number > TIMERFD_NANOSECONDS)
			protobuf_put_field(buffer, &field);
	protobuf_put_number(buffer, TIMERFD_SETTIME_FLAGS, 0);
	protobuf_put_number(buffer, TIMERFD_SECONDS, seconds);
	protobuf_put_number(buffer, TIMERFD_NANOSECONDS, nanoseconds);
}

/* One that can be understood: anything else stays as it is. */
static bool is_timerfd(struct span file)
{
	struct field field;
	if (!protobuf_is_whole(file) || protobuf_value(file, FILE_TYPE) != FILE_TYPE_TIMERFD)
		return false;
	while (protobuf_next(&file, &field))
		if (field.number == FILE_TIMERFD && (field.wire != 2 || !protobuf_is_whole(field.bytes)))
			return false;
	return true;
}

static bool mend_open_file(const struct mending *mending, struct span file, struct buffer *mended)
{
	struct field field;
	(void)mending;
	if (!is_timerfd(file))
		return false;
	while (protobuf_next(&file, &field)) {
		if (field.number != FILE_TIMERFD) {
			protobuf_put_field(mended, &field);
			continue;
		}
		struct buffer timer = { 0 };
		put_timerfd(&timer, field.bytes);
		protobuf_put_part(mended, FILE_TIMERFD, &timer);
	}
	return true;
}

/* ---- tasks and threads ---- */

/* Whether a call is to end by a signal shows only once all signals are there. */
static bool mend_core(const struct mending *mending, struct span core, struct buffer *mended)
{
	struct buffer with = { 0 };
	if (!mend_signals(mending, core, &with))
		return mend_calls(mending, core, mended);
	if (!mend_calls(mending, (struct span){ with.data, with.data + with.length }, mended))
		protobuf_put(mended, with.data, with.length);
	free(with.data);
	return true;
}

/* ---- image files ---- */

/* What is made of a record; false when it is to stay as it is. */
typedef bool mend(const struct mending *mending, struct span record, struct buffer *mended);

static const struct {
	const char *pattern, *prefix;
	mend *mend;
} images[] = { { "core-*.img", "core-", mend_core }, { "files.img", "", mend_open_file } };

static int mend_file(const struct mending *mending, const char *name, mend *mend)
{
	autofree unsigned char *data = NULL;
	autoclose int fd = -1;
	struct span rest, record;
	struct buffer mended = { 0 };
	bool changed = false;
	int status = criu_image_read(mending->directory, name, O_RDWR, &data, &rest, &fd);
	if (status < 0)
		return status;
	protobuf_put(&mended, data, CRIU_IMAGE_HEADER);
	while (criu_image_next(&rest, &record)) {
		uint32_t length;
		size_t at = mended.length;
		protobuf_put(&mended, record.at - sizeof(length), sizeof(length));
		if (!mend(mending, record, &mended)) {
			protobuf_put(&mended, record.at, (size_t)(record.end - record.at));
			continue;
		}
		length = (uint32_t)(mended.length - at - sizeof(length));
		memcpy(mended.data + at, &length, sizeof(length));
		changed = true;
	}
	protobuf_put(&mended, rest.at, (size_t)(rest.end - rest.at));
	autofree unsigned char *owned = mended.data;
	if (!changed)
		return 0;
	if (pwrite(fd, owned, mended.length, 0) != (ssize_t)mended.length)
		return -EIO;
	return ftruncate(fd, (off_t)mended.length) < 0 ? -errno : 0;
}

int mend_image(const char *directory, const struct waits *waits, struct error *err)
{
	autoclosedir DIR *list = opendir(directory);
	if (!list)
		return error_sys(err, errno, "cannot read %s", directory);
	struct mending mending = { .directory = dirfd(list), .waits = waits };
	for (struct dirent *entry; (entry = readdir(list));)
		for (size_t i = 0; i < array_length(images); i++) {
			if (fnmatch(images[i].pattern, entry->d_name, 0) != 0)
				continue;
			mending.id = (pid_t)strtol(entry->d_name + strlen(images[i].prefix), NULL, 10);
			int status = mend_file(&mending, entry->d_name, images[i].mend);
			if (status < 0)
				return error_sys(err, -status, "cannot set %s of the process image right",
						 entry->d_name);
		}
	return 0;
}
