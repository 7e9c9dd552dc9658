#include "agent/criu_cut.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "lib/cleanup.h"
#include "lib/file.h"

enum { TURNS = 50, TURN_NS = 10000000 };

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

static bool is_dead(pid_t pid)
{
	autofree char *path = format_string("/proc/%d/stat", (int)pid), *text = NULL;
	if (file_read(path, 4096, &text, NULL) < 0)
		return true;
	const char *name_end = strrchr(text, ')');
	return name_end && (name_end[1] == '\0' || name_end[2] == 'Z' || name_end[2] == 'X');
}

static bool some_are_dead(const struct criu_tasks *tasks)
{
	for (size_t i = 0; i < tasks->count; i++)
		if (is_dead(tasks->pids[i]))
			return true;
	return false;
}

/* Once the image is whole criu kills the tasks, the first one first, and with it all (cr_dump_finish). */
static bool is_dumped(bool whole, pid_t pid)
{
	siginfo_t end = { 0 };
	return whole && waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       end.si_pid == pid && end.si_code == CLD_KILLED && end.si_status == SIGKILL;
}

enum criu_cut criu_cut_look(const char *image, pid_t pid, const struct criu_tasks *tasks)
{
	autofree char *inventory = format_string("%s/inventory.img", image);
	bool whole = access(inventory, F_OK) == 0, dead = false;
	for (int i = 0; i < TURNS; i++) {
		if (is_dumped(whole, pid))
			return CRIU_CUT_DUMPED;
		dead = dead || some_are_dead(tasks);
		nanosleep(&(struct timespec){ .tv_nsec = TURN_NS }, NULL);
	}
	return dead ? CRIU_CUT_BROKEN : CRIU_CUT_RUNNING;
}
