/*
 * Job images: root file systems, each kept as one read-only squashfs with its digest in STATE/images/NAME/.
 * Any thread; images has its own lock, held only for moments.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/fs.h"

struct image {
	uint64_t serial;
	char name[65];
	char digest[72]; /* sha256:… ; "" until it is ready */
	int64_t size;
	char status[320]; /* empty, importing, ready, failed SENTENCE */
};

int images_open(struct floatfs *fs, struct error *err);
void images_close(struct images *images);

int images_create(struct floatfs *fs, const char *name, struct error *err);
int images_remove(struct floatfs *fs, const char *name, struct error *err);

/* `import SOURCE`: a directory or a tar archive with a root file system. Returns once it is under way. */
int images_import(struct floatfs *fs, const char *name, const char *source, struct error *err);

/* A copy; -ENOENT. */
int images_find(struct floatfs *fs, const char *name, struct image *image);
int images_find_serial(struct floatfs *fs, uint64_t serial, struct image *image);
/* The nth, in no order that lasts; -ENOENT past the last. */
int images_get(struct floatfs *fs, size_t n, struct image *image);

/* The squashfs of an image with that digest; caller frees. */
char *images_file(struct floatfs *fs, const char *name);
/* img- and the first 16 digits of the digest: its serial on a host. */
void images_device_serial(const char *digest, char serial[32]);
