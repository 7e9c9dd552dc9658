/*
 * criu's image files, as they are read: two magic numbers, then records of a length and a protobuf message; and what
 * the two of them that are statistics say about time. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/protobuf.h"

enum { CRIU_IMAGE_HEADER = 8 };

/* The next record of an image. */
bool criu_image_next(struct span *image, struct span *message);
/* A whole image file, at *data (owned by the caller); 0 or -errno. */
int criu_image_read(int directory, const char *name, int flags, unsigned char **data, struct span *image,
		    int *fd);

/* How long all files of the image in a directory are. */
int64_t criu_image_bytes(const char *directory);

/*
 * When the first task was stopped by the dump whose image lies there, and when the last ran again after its restore:
 * nanoseconds of CLOCK_REALTIME, to a tick, which is counted as frozen. 0: not known. The time that criu itself took
 * to start and to end, when the tasks ran, is not in it.
 */
int64_t criu_image_stopped_ns(const char *directory);
int64_t criu_image_resumed_ns(const char *directory);
