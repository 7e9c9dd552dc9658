#include "agent/waits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/dump_shared.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"

/* A job of more threads is not worth its looks. */
enum {
	THREADS_MAX = DUMP_WAITS_MAX,
	STATUS_SIZE = 4096,
	WATCH_PAUSE_NS = 100000,
	TURNS_OF_LOOK = 10,
	ADDRESS_MIN = 4096,
	NS = 1000000000
};

/* A thread's status file. */
struct status {
	pid_t task, thread;  /* innermost */
	bool sleeps, stands; /* S; t, stopped by a tracer */
	unsigned long switches;
};

struct seen {
	struct wait wait;
	pid_t task, thread;     /* as we see them */
	unsigned long switches; /* voluntary ones: the last was to sleep in this call */
	int64_t limit_ns, since_ns;
	int64_t until_ns; /* when it was last seen in it */
	bool decided;
};

struct list {
	struct seen *seen;
	size_t count, room;
};

struct waits {
	struct list list;
	pid_t first;
	pthread_t watcher;
	atomic_bool watched, stop;
	struct dump_shared *shared; /* NULL: there is none */
	int shared_fd;
};

static void make_shared(struct waits *waits)
{
	waits->shared_fd = memfd_create("waits", MFD_CLOEXEC);
	if (waits->shared_fd < 0 || ftruncate(waits->shared_fd, sizeof(*waits->shared)) < 0)
		return;
	void *map =
	    mmap(NULL, sizeof(*waits->shared), PROT_READ | PROT_WRITE, MAP_SHARED, waits->shared_fd, 0);
	waits->shared = map == MAP_FAILED ? NULL : map;
}

struct waits *waits_new(void)
{
	struct waits *waits = calloc(1, sizeof(*waits));
	if (!waits)
		return NULL;
	make_shared(waits);
	if (!waits->shared)
		log_warning("time limits of the job's calls begin anew after a checkpoint that fails, and "
			    "signals of a "
			    "checkpoint's time are lost: %s",
			    strerror(errno));
	return waits;
}

void waits_free(struct waits *waits)
{
	if (!waits)
		return;
	if (waits->shared)
		munmap(waits->shared, sizeof(*waits->shared));
	if (waits->shared_fd >= 0)
		close(waits->shared_fd);
	free(waits->list.seen);
	free(waits);
}

/* ---- what the kernel tells ---- */

static bool read_file_of(pid_t task, pid_t thread, const char *name, char *text, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)task, (int)thread, name);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
	text[length > 0 ? length : 0] = '\0';
	return length > 0;
}

/* The last number of that line: of the innermost namespace, where it has one for each. */
static long last_number(const char *text, const char *key)
{
	const char *line = strstr(text, key);
	if (!line)
		return 0;
	line += strlen(key);
	const char *end = line + strcspn(line, "\n"), *last = end;
	while (last > line && last[-1] != '\t' && last[-1] != ' ')
		last--;
	return strtol(last, NULL, 10);
}

static bool read_status(pid_t task, pid_t thread, struct status *status)
{
	char text[STATUS_SIZE];
	if (!read_file_of(task, thread, "status", text, sizeof(text)))
		return false;
	const char *state = strstr(text, "\nState:\t");
	*status = (struct status){
		.task = (pid_t)last_number(text, "\nNStgid:"),
		.thread = (pid_t)last_number(text, "\nNSpid:"),
		.sleeps = state && state[strlen("\nState:\t")] == 'S',
		.stands = state && state[strlen("\nState:\t")] == 't',
		.switches = (unsigned long)last_number(text, "\nvoluntary_ctxt_switches:"),
	};
	return state && strstr(text, "\nvoluntary_ctxt_switches:");
}

static bool read_call(pid_t task, pid_t thread, struct wait *wait)
{
	char text[256];
	long long number;
	unsigned long long value[CALL_ARGUMENTS + 2];
	if (!read_file_of(task, thread, "syscall", text, sizeof(text)) ||
	    sscanf(text, "%lld %llx %llx %llx %llx %llx %llx %llx %llx", &number, &value[0], &value[1],
		   &value[2], &value[3], &value[4], &value[5], &value[6], &value[7]) != 9)
		return false;
	*wait = (struct wait){ .number = (long)number, .sp = value[6], .ip = value[7], .left_ns = -1 };
	for (int i = 0; i < CALL_ARGUMENTS; i++)
		wait->arguments[i] = value[i];
	return true;
}

/*
 * After a stop the kernel goes on with a call as restart_syscall. Only poll, a futex and the sleeps do so, and where the thread
 * stands tells which: do_restart_poll and futex_wait_restart have functions of their own below them. -1: not to be seen.
 */
static long restarted(pid_t task, pid_t thread, const struct wait *wait)
{
	char place[256];
	if (!read_file_of(task, thread, "wchan", place, sizeof(place)) || strcmp(place, "0") == 0)
		return -1;
	if (strstr(place, "poll"))
		return CALL_POLL;
	if (strstr(place, "futex"))
		return SYS_futex;
	/* The first argument is a clock, or an address. */
	return wait->arguments[0] < ADDRESS_MIN ? SYS_clock_nanosleep : SYS_nanosleep;
}

/* -1: it cannot be read. */
static int64_t read_limit(pid_t task, const struct call *call, const struct wait *wait)
{
	uint64_t argument = wait->arguments[call->at];
	if (call->limit == CALL_LIMIT_MS)
		return (int64_t)(int)argument * 1000000;
	struct timespec time;
	struct iovec here = { &time, sizeof(time) }, there = { (void *)(uintptr_t)argument, sizeof(time) };
	if (process_vm_readv(task, &here, 1, &there, 1, 0) != sizeof(time) || time.tv_sec < 0 ||
	    time.tv_sec >= INT64_MAX / NS || time.tv_nsec < 0 || time.tv_nsec >= NS)
		return -1;
	return (int64_t)time.tv_sec * NS + time.tv_nsec;
}

/* ---- looking ---- */

static bool is_same_place(const struct wait *a, const struct wait *b)
{
	return a->sp == b->sp && a->ip == b->ip &&
	       memcmp(a->arguments, b->arguments, sizeof(a->arguments)) == 0;
}

static const struct seen *find_seen(const struct list *list, pid_t thread)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->seen[i].thread == thread)
			return &list->seen[i];
	return NULL;
}

static struct seen *add_seen(struct list *list)
{
	if (list->count == list->room) {
		list->room = 2 * list->room + 16;
		list->seen = reallocarray(list->seen, list->room, sizeof(*list->seen));
		if (!list->seen)
			abort();
	}
	return &list->seen[list->count++];
}

/* Does it sleep in a call with a limit, and has it all the while that this took? */
static bool see(const struct seen *old, struct seen *now)
{
	struct status first, last;
	struct wait again;
	if (!read_call(now->task, now->thread, &now->wait))
		return false;
	long number = now->wait.number;
	if (number == SYS_restart_syscall)
		now->wait.number = restarted(now->task, now->thread, &now->wait);
	const struct call *call = call_find(now->wait.number);
	if (!call || !call_has_limit(call, now->wait.arguments) ||
	    !read_status(now->task, now->thread, &first))
		return false;
	now->since_ns = now->until_ns = clock_monotonic_ns();
	now->limit_ns = read_limit(now->task, call, &now->wait);
	/* It has if it did not go to sleep in between. */
	if (!read_call(now->task, now->thread, &again) || !is_same_place(&again, &now->wait) ||
	    again.number != number || !read_status(now->task, now->thread, &last) || !first.sleeps ||
	    !last.sleeps || first.switches != last.switches)
		return false;
	now->switches = last.switches;
	now->wait.task = last.task;
	now->wait.thread = last.thread;
	if (old && old->switches == now->switches && old->wait.number == now->wait.number &&
	    is_same_place(&old->wait, &now->wait)) {
		now->since_ns = old->since_ns;
		now->limit_ns = old->limit_ns;
	}
	return true;
}

static void look_at(const struct list *before, struct list *list, pid_t task, pid_t thread)
{
	struct seen now = { .task = task, .thread = thread };
	const struct seen *old = find_seen(before, thread);
	struct status status;
	if (see(old, &now))
		*add_seen(list) = now;
	/* By criu, already or meanwhile: what is known of it is judged later. */
	else if (old && read_status(task, thread, &status) && status.stands)
		*add_seen(list) = *old;
}

struct look {
	struct waits *waits;
	struct list list;
	int threads;
};

static void look_into(pid_t task, void *context)
{
	struct look *look = context;
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)task);
	autoclosedir DIR *threads = task > 0 ? opendir(path) : NULL;
	for (struct dirent *entry; threads && (entry = readdir(threads));)
		if (entry->d_name[0] != '.' && look->threads++ < THREADS_MAX)
			look_at(&look->waits->list, &look->list, task,
				(pid_t)strtol(entry->d_name, NULL, 10));
}

void waits_look(struct waits *waits)
{
	struct look look = { .waits = waits };
	cgroup_each_process(look_into, &look);
	free(waits->list.seen);
	waits->list = look.list;
}

/* ---- watching ---- */

static void tell(struct dump_shared *shared, const struct seen *seen)
{
	int count = shared ? shared->waits_count : DUMP_WAITS_MAX;
	if (count == DUMP_WAITS_MAX)
		return;
	shared->waits[count] = (struct dump_wait){ .thread = seen->thread, .wait = seen->wait };
	shared->waits_count = count + 1;
}

/*
 * A thread that is stopped by criu has gone to sleep once more than before, for that; any more, and it may have been in another
 * call meanwhile, or criu has made it work already: then nothing is known. True when there is no more to be seen.
 */
static bool watch_one(struct dump_shared *shared, struct seen *seen)
{
	struct status status;
	int64_t now = clock_monotonic_ns();
	if (!read_status(seen->task, seen->thread, &status))
		return true;
	if (!status.stands && status.switches == seen->switches) {
		seen->until_ns = now;
		return false;
	}
	if (status.stands && status.switches == seen->switches + 1 && seen->limit_ns >= 0) {
		int64_t left = seen->limit_ns - (seen->until_ns - seen->since_ns);
		seen->wait.left_ns = left > 0 ? left : 0;
	}
	if (status.stands)
		tell(shared, seen);
	return true;
}

static void *watch(void *context)
{
	struct waits *waits = context;
	struct status first = { 0 };
	bool all = false;
	for (int turn = 0; !all && !waits->stop; turn++) {
		if (!first.stands && !read_status(waits->first, waits->first, &first))
			break;
		/* What begins meanwhile. */
		if (!first.stands && turn % TURNS_OF_LOOK == 0)
			waits_look(waits);
		all = first.stands;
		for (size_t i = 0; i < waits->list.count && !waits->stop; i++) {
			struct seen *seen = &waits->list.seen[i];
			seen->decided = seen->decided || watch_one(waits->shared, seen);
			all = all && seen->decided;
		}
		nanosleep(&(struct timespec){ .tv_nsec = WATCH_PAUSE_NS }, NULL);
	}
	return NULL;
}

void waits_watch(struct waits *waits, pid_t pid)
{
	waits_look(waits);
	waits->first = pid;
	waits->stop = false;
	if (waits->shared)
		waits->shared->waits_count = waits->shared->late_count = waits->shared->late_lost = 0;
	waits->watched = pthread_create(&waits->watcher, NULL, watch, waits) == 0;
	if (!waits->watched)
		log_warning("time limits of the job's calls begin anew: no thread");
}

void waits_end_watch(struct waits *waits)
{
	if (!waits->watched)
		return;
	waits->stop = true;
	pthread_join(waits->watcher, NULL);
	waits->watched = false;
}

const struct dump_shared *waits_shared(const struct waits *waits)
{
	return waits ? waits->shared : NULL;
}

int waits_shared_fd(const struct waits *waits)
{
	return waits && waits->shared ? waits->shared_fd : -1;
}

const struct wait *waits_find(const struct waits *waits, pid_t thread)
{
	for (size_t i = 0; waits && i < waits->list.count; i++)
		if (waits->list.seen[i].wait.thread == thread)
			return &waits->list.seen[i].wait;
	return NULL;
}
