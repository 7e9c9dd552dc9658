/* Files and paths. All return 0 or -errno; any thread may call them. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Write a file so that after a crash it is the old one or the new one, whole: write, fsync, rename, fsync of
 * the directory. */
int file_write_durable(const char *path, const void *data, size_t length, mode_t mode);

/* Write a small file in place (a kernel control file, say), with one write(2). */
int file_write(const char *path, const char *text);

/* Read a whole file; *data is NUL-terminated, caller frees. Larger than limit: -EFBIG. length may be NULL. */
int file_read(const char *path, size_t limit, char **data, size_t *length);

/* As mkdir -p. */
int file_make_directories(const char *path, mode_t mode);

/* As rm -rf, never crossing into another file system; nothing there is success. */
int file_remove_tree(const char *path);

/* Write all of it, through short writes and EINTR. */
int file_write_all(int fd, const void *data, size_t length);

/* As asprintf, aborts when memory is out; caller frees. */
char *format_string(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Random lower-case letters and digits from getrandom(2); buffer holds length + 1. */
void random_text(char *buffer, size_t length, const char *alphabet);
