#include "agent/criu_image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"

enum {
	IMAGE_LIMIT = 256 << 20,

	/* images/stats.proto of criu's source; microseconds. */
	STATS_DUMP = 1,
	DUMP_FREEZING_TIME = 1,
	DUMP_FROZEN_TIME = 2,
};

bool criu_image_next(struct span *image, struct span *message)
{
	uint32_t length;
	size_t left = (size_t)(image->end - image->at);
	if (left < sizeof(length))
		return false;
	memcpy(&length, image->at, sizeof(length));
	if (length > left - sizeof(length))
		return false;
	message->at = image->at + sizeof(length);
	image->at = message->end = message->at + length;
	return true;
}

int criu_image_read(int directory, const char *name, int flags, unsigned char **data, struct span *image,
		    int *fd)
{
	struct stat st;
	*fd = openat(directory, name, flags | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &st) < 0)
		return -errno;
	if (st.st_size < CRIU_IMAGE_HEADER || st.st_size > IMAGE_LIMIT)
		return -EFBIG;
	*data = malloc((size_t)st.st_size);
	if (!*data)
		return -ENOMEM;
	if (pread(*fd, *data, (size_t)st.st_size, 0) != st.st_size)
		return -EIO;
	*image = (struct span){ *data + CRIU_IMAGE_HEADER, *data + st.st_size };
	return 0;
}

int64_t criu_image_bytes(const char *directory)
{
	struct stat st;
	int64_t bytes = 0;
	autoclosedir DIR *list = opendir(directory);
	for (struct dirent *entry; list && (entry = readdir(list));)
		if (fstatat(dirfd(list), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			bytes += st.st_size;
	return bytes;
}

/* Its inode's time, which is that of the last tick. */
static int64_t written_ns(int fd)
{
	struct stat st;
	return fstat(fd, &st) < 0 ? 0 : st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

int64_t criu_image_stopped_ns(const char *directory)
{
	autofree unsigned char *data = NULL;
	autoclose int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct span rest, record;
	if (dir < 0 || criu_image_read(dir, "stats-dump", O_RDONLY, &data, &rest, &fd) < 0 ||
	    !criu_image_next(&rest, &record))
		return 0;
	struct span dump = protobuf_part(record, STATS_DUMP);
	uint64_t frozen = protobuf_value(dump, DUMP_FROZEN_TIME);
	if (frozen == 0)
		return 0;
	return written_ns(fd) - (int64_t)(frozen + protobuf_value(dump, DUMP_FREEZING_TIME)) * 1000;
}

int64_t criu_image_resumed_ns(const char *directory)
{
	struct timespec tick = { 0 };
	autofree char *path = format_string("%s/stats-restore", directory);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	clock_getres(CLOCK_REALTIME_COARSE, &tick);
	int64_t written = fd < 0 ? 0 : written_ns(fd);
	return written ? written + tick.tv_nsec : 0;
}
