/*
 * The mirror of a job's log directory in STATE/jobs/SERIAL/log: the content of each generation in a file of
 * that number, and `index.json`, which names them. The volume holds the truth; what a follower reads of it
 * ends here, and FUSE reads from here. Any thread may call; the mirror has its own lock, held only for
 * moments.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/error.h"

struct mirror;

enum mirror_type { MIRROR_FILE, MIRROR_DIRECTORY, MIRROR_LINK };

struct mirror_entry {
	char path[512];      /* below the log directory */
	uint64_t generation; /* the inode number on the job's volume */
	enum mirror_type type;
	mode_t mode;
	int64_t mtime_ns;
	int64_t size;     /* of the content that is here */
	char target[256]; /* of a link */
};

int mirror_open(const char *directory, struct mirror **mirror, struct error *err);
void mirror_close(struct mirror *mirror);

/* Replace the names by an agent's (API.md, `names`). What nothing names any more is deleted. */
int mirror_set_names(struct mirror *mirror, json_object *names, struct error *err);

/* Generations whose data comes before their names (API.md, `coming`): nobody sees them yet. */
int mirror_set_coming(struct mirror *mirror, json_object *generations, struct error *err);

/* Data that follows what is here; offset must be where it ends (-EBADMSG: the agent skipped or repeated
 * something). Of a file without a name here, and not coming, nothing is kept. */
int mirror_append(struct mirror *mirror, uint64_t generation, int64_t offset, const void *data, size_t length,
		  struct error *err);
/* Data that takes the place of what is here; -EBADMSG where that is not so much. */
int mirror_write_over(struct mirror *mirror, uint64_t generation, int64_t offset, const void *data,
		      size_t length, struct error *err);
/* All that is here is the file as it was at that time stamp. Kept where the file system has extended attributes. */
void mirror_settle(struct mirror *mirror, uint64_t generation, int64_t mtime_ns);
int mirror_truncate(struct mirror *mirror, uint64_t generation, int64_t size, struct error *err);

/*
 * The job was taken back to an instant: logs, [[generation, size], …], says how long each file was then. Each is cut
 * back to that; what followed is kept as a file of its own, PATH.lost-N, and told of. For when no stream is taken.
 */
int mirror_cut(struct mirror *mirror, json_object *logs,
	       void (*tell)(void *context, const char *path, int64_t size, const char *kept), void *context,
	       struct error *err);

/* [[generation, size, time stamp], …] for the stream's `have`, the last where it is known; caller puts. */
json_object *mirror_have(struct mirror *mirror);

/* -ENOENT. */
int mirror_find(struct mirror *mirror, const char *path, struct mirror_entry *entry);
int mirror_find_generation(struct mirror *mirror, uint64_t generation, struct mirror_entry *entry);

/* Calls visit with each entry directly in that directory ("" is the log directory), until it returns
 * non-zero. */
int mirror_list(struct mirror *mirror, const char *directory,
		int (*visit)(void *context, const char *name, const struct mirror_entry *entry),
		void *context);

/*
 * Somebody opens that file, or closes it. What is here of it stays as long, and is found by its generation, whatever
 * happens to its names: as everywhere with a file that is deleted while it is read. -ENOENT: it is gone.
 */
int mirror_hold(struct mirror *mirror, uint64_t generation);
void mirror_let_go(struct mirror *mirror, uint64_t generation);

/* A descriptor to read a generation's content, or -errno; caller closes. */
int mirror_open_content(struct mirror *mirror, uint64_t generation);
