/* Within fs/mirror*.c. */
#pragma once

#include <pthread.h>

#include "fs/mirror_names.h"

struct mirror {
	char *directory;
	pthread_mutex_t lock; /* guards what follows */
	struct mirror_names names;
	json_object *lost; /* array of names as agents tell them: of what was cut off */
	struct mirror_coming coming;
	struct mirror_holds holds;
	/* The generation that was appended to last, kept open: most data comes in runs of one file. */
	uint64_t open_generation;
	int open_fd;
};

/* Of a generation's content; caller frees. */
char *mirror_content_path(struct mirror *mirror, uint64_t generation);
/* With the lock: closes open_fd. */
void mirror_close_content_locked(struct mirror *mirror);
/* A generation of ours: what was cut off. */
bool mirror_is_lost(int64_t generation);
/* Its size and time stamp, of what is here. */
void mirror_fill_size(struct mirror *mirror, struct mirror_entry *entry);
