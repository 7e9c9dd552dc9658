#include "agent/criu_cut.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/container.h"
#include "agent/held.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"

enum { TURNS = 250, TURN_NS = 2000000, STAT_EXIT_CODE = 52 };

static void note_one(pid_t pid, void *context)
{
	struct criu_tasks *tasks = context;
	pid_t *larger = realloc(tasks->pids, (tasks->count + 1) * sizeof(*larger));
	if (!larger)
		abort();
	tasks->pids = larger;
	tasks->pids[tasks->count++] = pid;
}

void criu_tasks_note(struct criu_tasks *tasks)
{
	cgroup_each_process(note_one, tasks);
}

void criu_tasks_free(struct criu_tasks *tasks)
{
	free(tasks->pids);
}

/* What a task dies of that has code or registers of somebody else. */
static bool is_crash(int signal)
{
	return signal == SIGTRAP || signal == SIGSEGV || signal == SIGILL || signal == SIGBUS ||
	       signal == SIGSYS;
}

/* Of a zombie (proc_pid_stat(5)): one that was waited for, or that ended by itself, is no concern of ours. */
static bool has_crashed(pid_t pid)
{
	autofree char *path = format_string("/proc/%d/stat", (int)pid), *text = NULL;
	char *rest = file_read(path, 4096, &text, NULL) < 0 ? NULL : strrchr(text, ')');
	if (!rest || strncmp(rest, ") Z ", 4) != 0)
		return false;
	for (int field = 2; rest && field < STAT_EXIT_CODE; field++)
		rest = strchr(rest + 1, ' ');
	return rest && is_crash((int)strtol(rest, NULL, 10) & 0x7f);
}

static bool some_have_crashed(const struct criu_tasks *tasks)
{
	for (size_t i = 0; i < tasks->count; i++)
		if (has_crashed(tasks->pids[i]))
			return true;
	return false;
}

/* criu has its connections in repair mode, in which they send nothing, and lets go of them only at its end. */
static void end_repair(const struct held *held, void *context)
{
	(void)context;
	int on = 0, off = 0;
	socklen_t length = sizeof(on);
	if (strncmp(held->link, "socket:[", strlen("socket:[")) != 0)
		return;
	autoclose int fd = held_take(held->pid, held->fd);
	if (fd >= 0 && getsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, &length) == 0 && on &&
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) < 0)
		log_warning("a connection of the job stays as criu left it: %s", strerror(errno));
}

/* Nobody takes half an image for a whole one, or goes back to one from which the job has gone on. */
static void spoil(const char *inventory)
{
	if (unlink(inventory) < 0 && errno != ENOENT)
		log_warning("cannot remove %s: %s", inventory, strerror(errno));
}

enum criu_cut criu_cut_look(const char *image, pid_t pid, const struct criu_tasks *tasks)
{
	autofree char *inventory = format_string("%s/inventory.img", image);
	bool whole = access(inventory, F_OK) == 0, broken = false;
	struct container_end end;
	held_each_of_job(end_repair, NULL);
	for (int i = 0; i < TURNS; i++) {
		bool ended = container_peek(pid, &end);
		/* Once the image is whole criu kills the tasks, the first one first, and with it all (cr_dump_finish). */
		if (ended && end.init_killed && end.signal == SIGKILL && whole)
			return CRIU_CUT_DUMPED;
		broken = broken || (ended && is_crash(end.signal)) || some_have_crashed(tasks);
		if (ended)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = TURN_NS }, NULL);
	}
	spoil(inventory);
	return broken ? CRIU_CUT_BROKEN : CRIU_CUT_RUNNING;
}
