#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"

int file_write_all(int fd, const void *data, size_t length)
{
	const char *at = data;
	while (length > 0) {
		ssize_t done = write(fd, at, length);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		at += done;
		length -= (size_t)done;
	}
	return 0;
}

static int sync_directory_of(const char *path)
{
	autofree char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	autoclose int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int file_write_durable(const char *path, const void *data, size_t length, mode_t mode)
{
	autofree char *fresh = format_string("%s.new", path);
	{
		autoclose int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
		if (fd < 0)
			return -errno;
		int status = file_write_all(fd, data, length);
		if (status == 0 && fsync(fd) < 0)
			status = -errno;
		if (status < 0) {
			unlink(fresh);
			return status;
		}
	}
	if (rename(fresh, path) < 0)
		return -errno;
	return sync_directory_of(path);
}

int file_write(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t length = strlen(text);
	ssize_t done = write(fd, text, length);
	if (done < 0)
		return -errno;
	return (size_t)done == length ? 0 : -EIO;
}

int file_read(const char *path, size_t limit, char **data, size_t *length)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t size = 4096, used = 0;
	autofree char *buffer = malloc(size + 1);
	if (!buffer)
		return -ENOMEM;
	for (;;) {
		ssize_t got = read(fd, buffer + used, size - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		used += (size_t)got;
		if (used > limit)
			return -EFBIG;
		if (used == size) {
			char *larger = realloc(buffer, size * 2 + 1);
			if (!larger)
				return -ENOMEM;
			buffer = larger;
			size *= 2;
		}
	}
	buffer[used] = '\0';
	if (length)
		*length = used;
	*data = take_pointer(buffer);
	return 0;
}

int file_make_directories(const char *path, mode_t mode)
{
	autofree char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	for (char *slash = copy + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	if (mkdir(copy, mode) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path) < 0 ? errno : 0;
}

int file_remove_tree(const char *path)
{
	int status = nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	if (status < 0)
		return errno == ENOENT ? 0 : -errno;
	return -status;
}

char *format_string(const char *format, ...)
{
	char *text;
	va_list args;
	va_start(args, format);
	int status = vasprintf(&text, format, args);
	va_end(args);
	if (status < 0)
		abort();
	return text;
}

void random_text(char *buffer, size_t length, const char *alphabet)
{
	size_t letters = strlen(alphabet);
	for (size_t i = 0; i < length; i++) {
		unsigned char byte;
		/* Bytes past the last whole multiple would favour the first letters. */
		do {
			if (getrandom(&byte, 1, 0) != 1)
				abort();
		} while (byte >= 256 - 256 % letters);
		buffer[i] = alphabet[byte % letters];
	}
	buffer[length] = '\0';
}
