/*
 * criu reads the signals that wait for a task before its memory, and the task's timers after it. One that ends in between would be
 * lost: it is in none of both. So the queues are read once more before criu kills the task, and what is new there is told to
 * the keeper (agent/mend_signals.c). criu and libcompel call libc's kill(), and find this one.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/preload/preload.h"

struct queue {
	pid_t thread;
	bool shared;
	unsigned long long length;
};

/* In the order in which criu has read them: those of a task beside each other. */
static struct queue *queues;
static size_t count, room;

static struct queue *find_queue(pid_t thread, bool shared)
{
	/* The last task's, mostly. */
	for (size_t i = count; i-- > 0;)
		if (queues[i].thread == thread && queues[i].shared == shared)
			return &queues[i];
	return NULL;
}

void late_note(pid_t thread, const struct __ptrace_peeksiginfo_args *arguments, long read)
{
	bool shared = (arguments->flags & PTRACE_PEEKSIGINFO_SHARED) != 0;
	struct queue *queue = find_queue(thread, shared);
	if (read <= 0 && (read < 0 || queue))
		return;
	if (!queue && count == room) {
		room = 2 * room + 64;
		queues = realloc(queues, room * sizeof(*queues));
		if (!queues)
			abort();
	}
	if (!queue)
		queue = &queues[count++];
	*queue = (struct queue){ thread, shared, arguments->off + (unsigned long long)read };
}

/* Its number as the job sees it, which is in the innermost namespace; 0: not known. */
static pid_t read_number(pid_t thread)
{
	char path[32], line[256];
	pid_t number = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	while (number == 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, "NSpid:", 6) == 0)
			number = (pid_t)strtol(strrchr(line, '\t'), NULL, 10);
	fclose(file);
	return number;
}

static void tell_late(const struct queue *queue)
{
	struct __ptrace_peeksiginfo_args arguments = { .off = queue->length,
						       .flags = queue->shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
						       .nr = 1 };
	struct dump_late late = { .shared = queue->shared };
	while (preload_ptrace(PTRACE_PEEKSIGINFO, queue->thread, &arguments, &late.info) == 1) {
		arguments.off++;
		if (late.thread == 0)
			late.thread = read_number(queue->thread);
		if (late.thread == 0 || preload_shared->late_count == DUMP_LATE_MAX)
			preload_shared->late_lost++;
		else
			preload_shared->late[preload_shared->late_count++] = late;
	}
}

/* All of them before the first task ends: when that is the job's first process, the others end by themselves. */
static void tell_all_late(void)
{
	for (size_t i = 0; preload_shared && i < count; i++)
		tell_late(&queues[i]);
	count = 0;
}

int kill(pid_t pid, int number)
{
	static int (*libc_kill)(pid_t pid, int number);
	if (!libc_kill)
		libc_kill = (int (*)(pid_t, int))dlsym(RTLD_NEXT, "kill");
	if (number == SIGKILL && find_queue(pid, true))
		tell_all_late();
	return libc_kill(pid, number);
}
