/*
 * What fuzz targets share. A target is a C file of this directory with LLVMFuzzerTestOneInput; those named agent_* are
 * about the agent. What a target says of an input beside not crashing it says by fuzz_check. -1: an input that is not worth
 * keeping. Its seeds, and inputs that once failed, stand in seeds/TARGET/.
 */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run: the stack trace tells which one. */
#define fuzz_check(condition)                                                                                \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);              \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* With a NUL behind it, and nothing that it does not have; caller frees. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	fuzz_check(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* The first line is taken off text, at most the whole of it. */
static inline char *fuzz_line(char **text)
{
	char *line = strsep(text, "\n");
	if (!*text)
		*text = line + strlen(line);
	return line;
}

/* A directory of this process; whoever runs it removes TMPDIR. */
static inline const char *fuzz_scratch(void)
{
	static char path[200];
	if (!path[0]) {
		const char *above = getenv("TMPDIR");
		snprintf(path, sizeof(path), "%s/fuzz.XXXXXX", above ? above : "/tmp");
		fuzz_check(mkdtemp(path));
	}
	return path;
}

static inline void fuzz_write(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fuzz_check(fd >= 0 && file_write_all(fd, data, size) == 0);
	close(fd);
}

/* A file without a place, for what reads one by its path; the same one again the next time. */
static inline const char *fuzz_file(const void *data, size_t size)
{
	static int fd = -1;
	static char path[40];
	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	fuzz_check(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}
