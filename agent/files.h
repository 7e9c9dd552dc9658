/*
 * The files of an ended job: its volumes, mounted read-only on a host that was brought up for it (API.md, An ended
 * job's files). The tree is the job's own root cut to what is on its volumes: what the job wrote in its root (the upper
 * directory of its overlay, without the whiteouts), its /tmp, and each data volume at its mount point.
 *
 * A file is named by its volume and its inode number, which never change, so that nobody keeps a table of paths: the
 * other side may forget a file, come back after a restart, or ask another host, and means the same file.
 *
 * What is read here was written by a job: links are never followed, and of what is not a regular file or a directory
 * nothing is opened. Read-only once it is open: any thread may ask.
 */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include "agent/layout.h"

struct files;

/* The layout's volumes are mounted. Holds descriptors on them until files_close. */
int files_open(const struct layout *layout, struct files **files, struct error *err);
void files_close(struct files *files);

/* POST files: body and answer as in API.md; *answer is the caller's to put. */
int files_ask(const struct files *files, json_object *body, json_object **answer, struct error *err);

/* POST read: *data is the caller's to free; shorter than asked for only at the file's end. */
int files_read(const struct files *files, json_object *body, void **data, size_t *length, struct error *err);
