/*
 * What a criu that was killed during a dump, by us for its time limit or by whoever, has left of the job. It runs code of its
 * own in the tasks: one that it was at work in right then dies of that. All others go on, and so does the job where it lost none.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct criu_tasks {
	pid_t *pids;
	size_t count;
};

enum criu_cut {
	CRIU_CUT_RUNNING, /* it goes on, or has ended by itself */
	CRIU_CUT_DUMPED,  /* the image is whole, and the tasks are dead for that */
	CRIU_CUT_BROKEN,  /* some of it is dead */
};

/* The job's tasks as they are before the dump. autotasks frees them. */
void criu_tasks_note(struct criu_tasks *tasks);
void criu_tasks_free(struct criu_tasks *tasks);
#define autotasks __attribute__((cleanup(criu_tasks_free)))

/* Afterwards, of a job whose first process is a child of ours that nobody waits for. Looks for half a second; an image that is
 * not whole is none any more. */
enum criu_cut criu_cut_look(const char *image, pid_t pid, const struct criu_tasks *tasks);
