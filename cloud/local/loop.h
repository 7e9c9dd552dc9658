/*
 * Loop devices. Each of ours bears a tag in its lo_file_name, set by the same ioctl that binds it: so a
 * process that comes after a crash finds them all. Never with AUTOCLEAR: a number is freed when we say so.
 * Any thread may call these; who may free which number is the caller's to know.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "lib/error.h"

enum { LOOP_MAJOR = 7, LOOP_TAG_SIZE = 64 };

/* Bind a file to a free device. */
int loop_bind(const char *path, bool read_only, const char *tag, int *number, struct error *err);

/* Whether that device is bound to that file (device and inode). */
bool loop_backs(int number, const struct stat *file);

/* The tag of a bound device; -ENXIO when it is not bound, -ENOENT when there is none of that number. */
int loop_tag(int number, char tag[LOOP_TAG_SIZE]);

/* Free it if it still bears that tag. -EBUSY while anything mounts it or holds it exclusively. */
int loop_free(int number, const char *tag);

/* Call each bound device whose tag starts with prefix. */
int loop_each(const char *prefix, void (*call)(int number, const char *tag, void *context), void *context);
