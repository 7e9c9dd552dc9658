/*
 * Looking at a job's log directory without trusting it: the job may put links, pipes and anything else there,
 * and exchange them while we look. Nothing here follows a link, leaves the directory or opens what is no
 * regular file. Any thread may call these; nothing is kept open.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum logdir_type { LOGDIR_FILE, LOGDIR_DIRECTORY, LOGDIR_LINK };

struct logdir_entry {
	char *path;   /* below the log directory */
	char *name;   /* path as it is told to others: valid UTF-8 */
	char *target; /* of a link, else NULL */
	enum logdir_type type;
	uint64_t generation;
	mode_t mode;
	int64_t size;
	int64_t mtime_ns;
};

/* Sorted by name; names are unique. */
struct logdir_list {
	struct logdir_entry *entries;
	size_t count, room;
	size_t bytes; /* of names and targets */
	bool cut;     /* there is more than LOGDIR_ENTRIES, LOGDIR_DEPTH or LOGDIR_BYTES */
};

/* So that the names fit into a frame of 8 MiB whatever they are. */
enum { LOGDIR_ENTRIES = 10000, LOGDIR_DEPTH = 16, LOGDIR_BYTES = 1 << 20 };

/* The log directory itself, for the others; -errno. */
int logdir_open(const char *directory);

/*
 * All that is in it: regular files, directories and links. *stop (may be NULL) is looked at between entries:
 * once true, -ECANCELED. list must be empty or from an earlier scan; it is emptied first.
 */
int logdir_scan(int root, const bool *stop, struct logdir_list *list);
void logdir_clear(struct logdir_list *list);

/* [[generation, size], …] of the regular files below a directory that nobody writes to; caller puts. */
json_object *logdir_sizes(int root);

/*
 * A scan misses what the job renames meanwhile: the walk was past the place where it is now. Of these generations (ascending),
 * those that the list lacks and that are there still, moved to the front: how many.
 */
size_t logdir_missed(int root, const struct logdir_list *list, uint64_t *generations, size_t count);
/* Adds a copy of the entries of another list that have one of these generations (ascending), but where their names are taken. */
int logdir_keep(struct logdir_list *list, const struct logdir_list *from, const uint64_t *generations,
		size_t count);
int logdir_compare_generations(const void *one, const void *other); /* for qsort */

/* Whether somebody who saw one list must be told the other: all but sizes and times. */
bool logdir_differs(const struct logdir_list *one, const struct logdir_list *other);

/* Open a regular file for reading; -ENOENT when there is no regular file of that path. */
int logdir_open_file(int root, const char *path, struct stat *st);

/* Open a directory as O_PATH. */
int logdir_open_directory(int root, const char *path);

/* A copy that is valid UTF-8: bytes that are not become \xHH. */
char *logdir_printable(const char *path);
