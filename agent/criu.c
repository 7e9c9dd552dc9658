#include "agent/criu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/container.h"
#include "agent/criu_cut.h"
#include "agent/criu_image.h"
#include "agent/criu_reason.h"
#include "agent/dump_shared.h"
#include "agent/mend.h"
#include "agent/pids.h"
#include "agent/sockopts.h"
#include "agent/spent.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/proc.h"

enum {
	WORDS_MAX = 48 + 2 * LAYOUT_BINDS_MAX,
	LOG_LIMIT = 16 << 20,
	CHECK_TIMEOUT_MS = 10000,
	STOP_TIMEOUT_S = 3
};

/* criu's pipes for pages: larger than any of them. */
#define PIPE_MAX_SIZE "1073741824"
/* A deleted file that the job holds open goes into the image up to this size. */
#define GHOST_LIMIT   "1073741824"
#define FEATURE_CACHE "/run/criu.kdat"
/* agent/preload, agent/preload_restore */
#define PRELOADED         "/usr/lib/float/float-criu.so"
#define PRELOADED_RESTORE "/usr/lib/float/float-criu-restore.so"

/* A command line; owned words are freed with it. */
struct words {
	size_t count;
	char *word[WORDS_MAX + 1];
};

static void add_word(struct words *words, char *word)
{
	if (words->count == WORDS_MAX)
		abort();
	words->word[words->count++] = word;
}

static void add_words(struct words *words, const char *const *list)
{
	for (; *list; list++)
		add_word(words, format_string("%s", *list));
}

static void free_words(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->word[i]);
}

#define autowords __attribute__((cleanup(free_words)))

void criu_prepare_host(void)
{
	struct proc_options options = { .timeout_ms = CHECK_TIMEOUT_MS };
	struct error err = { 0 };
	int status = file_write("/proc/sys/fs/pipe-max-size", PIPE_MAX_SIZE);
	if (status < 0)
		log_info("fs.pipe-max-size stays as it is: %s", strerror(-status));
	/*
	 * criu tries out the kernel's features at its first run and keeps what it found here: not inside a
	 * freeze. What `check` itself thinks of the kernel is of no use.
	 */
	if (access(FEATURE_CACHE, F_OK) < 0 &&
	    proc_run((const char *const[]){ "criu", "check", NULL }, &options, &err) < 0)
		log_info("criu check: %s", err.text);
}

/* What both commands have in common; action is the first word, lock the way to lock connections. */
static void add_common(struct words *words, const struct layout *layout, const char *action, const char *lock)
{
	/*
	 * The network namespace is the keeper's, so there is none to carry. The binds are external. The job's
	 * cgroup is made by the agent. Instruction sets and the FPU's layout are compared, or a job would end
	 * by SIGILL on a lesser machine. Open files are compared by their size only: for a build id criu would
	 * map them, and those of the job's own /float have no content while it stands.
	 */
	static const char *const flags[] = { "--manage-cgroups=ignore",
					     "--tcp-established",
					     "--ext-unix-sk",
					     "--file-locks",
					     "--cpu-cap=fpu,ins",
					     "--link-remap",
					     "--ghost-limit",
					     GHOST_LIMIT,
					     "--file-validation",
					     "filesize",
					     NULL };
	add_word(words, format_string("criu"));
	add_word(words, format_string("%s", action));
	add_words(words, flags);
	add_word(words, format_string("--network-lock"));
	add_word(words, format_string("%s", lock));
	add_word(words, format_string("--images-dir"));
	add_word(words, layout_path(layout, "process/image"));
	/* Not on the volume: when that is full, its log is what says so. */
	add_word(words, format_string("--log-file"));
	add_word(words, format_string("%s/criu-%s.log", layout->directory, action));
}

/* EAGAIN where the reason passes by itself. */
static int explain(const struct layout *layout, const char *action, int status, const char *what,
		   struct error *err)
{
	char reason[300];
	autofree char *path = format_string("%s/criu-%s.log", layout->directory, action);
	autofree char *text = NULL;
	if (status == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "%s: it did not end within its time limit", what);
	/* No log: it could not even be run, and err says why. As it does of one that was killed. */
	if (status == -EINTR || file_read(path, LOG_LIMIT, &text, NULL) < 0)
		return error_prefix(err, "%s: ", what);
	log_info("%s: criu's log is kept in %s", what, path);
	bool passes = criu_reason(text, reason, sizeof(reason));
	return error_set(err, passes ? EAGAIN : EIO, "%s: %s", what, reason);
}

/* ---- dump ---- */

struct dump_fds {
	int cgroup_namespace;
	int waits; /* to be inherited; -1: none */
};

/* criu finds the job's cgroups as the job sees them. */
static int set_up_dump(void *context)
{
	const struct dump_fds *fds = context;
	if (setns(fds->cgroup_namespace, CLONE_NEWCGROUP) < 0)
		return -errno;
	return fds->waits >= 0 && fcntl(fds->waits, F_SETFD, 0) < 0 ? -errno : 0;
}

/* Do the tasks run on after criu let go of them? criu resumes them itself, also when it is killed: they were
 * traced. */
static void see_that_it_runs(pid_t pid)
{
	autofree char *path = format_string("/proc/%d/status", (int)pid);
	for (int i = 0; i < 100; i++) {
		autofree char *text = NULL;
		if (file_read(path, 65536, &text, NULL) < 0)
			return;
		const char *tracer = strstr(text, "\nTracerPid:"), *state = strstr(text, "\nState:");
		if (tracer && strtol(tracer + strlen("\nTracerPid:"), NULL, 10) == 0) {
			if (state && strncmp(state + strlen("\nState:"), "\tT", 2) == 0)
				kill(pid, SIGCONT);
			return;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	log_warning("the job's first process %d is still traced after a failed checkpoint", (int)pid);
}

#define LAST_PID_FILE "last-pid"

/* What the image does not hold, or holds as it should not. The tasks are gone: nothing of this is worth
 * failing for. */
static void finish_image(const char *image, const struct waits *waits, int last_pid)
{
	struct error err = { 0 };
	const struct dump_shared *told = waits_shared(waits);
	if (mend_image(image, waits, &err) < 0)
		log_warning("%s", err.text);
	if (told && told->late_lost > 0)
		log_warning("%d signals that came to the job during the checkpoint are lost: too many",
			    told->late_lost);
	autofree char *path = format_string("%s/" LAST_PID_FILE, image),
		      *text = format_string("%d", last_pid);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int status = last_pid < 0 ? last_pid : fd < 0 ? -errno : file_write_all(fd, text, strlen(text));
	if (status < 0)
		log_warning("the job's process ids will begin anew: %s", strerror(-status));
}

/* Before the job has had the time to give many. */
static void go_on_with_pids(const struct layout *layout, pid_t pid)
{
	autofree char *path = layout_path(layout, "process/image/" LAST_PID_FILE), *text = NULL;
	int status = file_read(path, 64, &text, NULL);
	if (status == 0)
		status = pids_go_on(pid, (int)strtol(text, NULL, 10));
	/* ENOMEM: its first process has ended already, and no other is made there (pid_namespaces(7)). */
	if (status < 0 && status != -ENOMEM)
		log_warning("the job's process ids begin anew: %s", strerror(-status));
}

int criu_dump(const struct layout *layout, struct network *network, struct waits *waits, pid_t pid,
	      int timeout_ms, int64_t *freeze_ns, struct error *err)
{
	autowords struct words words = { 0 };
	autofree char *image = layout_path(layout, "process/image");
	autofree char *log = layout_path(layout, "criu-dump.log");
	int status = file_remove_tree(image);
	if (status == 0)
		status = file_make_directories(image, 0700);
	if (status < 0)
		return error_sys(err, -status, "cannot make the directory for the process image");
	unlink(log);

	/*
	 * Two ends of a connection are dumped one after the other: what one of them sent in between would be
	 * acknowledged and lost. criu locks them once the tasks stand, in some milliseconds that a job without TCP
	 * is spared. Locked before, the job would feel it: what it sends by UDP would fail, and its new
	 * connections would wait for TCP's timers, for seconds.
	 */
	add_common(&words, layout, "dump", network_has_tcp() ? "nftables" : "skip");
	add_word(&words, format_string("--tree"));
	add_word(&words, format_string("%d", (int)pid));
	/*
	 * Seconds until all tasks must have stopped: a task in uninterruptible sleep ends the dump, not the job. Not
	 * many: the others stand meanwhile, among them a vfork's child that its parent sleeps for.
	 */
	add_word(&words, format_string("--timeout"));
	add_word(&words, format_string("%d", timeout_ms > 1000 * STOP_TIMEOUT_S ? STOP_TIMEOUT_S
										: timeout_ms / 1000 + 1));
	for (size_t i = 0; i < layout->count; i++) {
		const struct layout_bind *bind = &layout->binds[i];
		autofree char *place = bind->in_root ? layout_resolve(layout, bind->target) : NULL;
		add_word(&words, format_string("--external"));
		add_word(&words, format_string("mnt[%s]:%s", place ? place : bind->target, bind->key));
	}

	autofree char *namespace = format_string("/proc/%d/ns/cgroup", (int)pid);
	autoclose int fd = open(namespace, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, errno, "cannot open %s", namespace);
	struct dump_fds fds = { fd, waits_shared_fd(waits) };
	autofree char *shared = format_string(DUMP_SHARED_VARIABLE "=%d", fds.waits);
	struct proc_options options = {
		.timeout_ms = timeout_ms > 0 ? timeout_ms : 1,
		.setup = set_up_dump,
		.setup_context = &fds,
		.environment = (const char *const[]){ "LD_PRELOAD=" PRELOADED, shared, NULL },
	};
	autotasks struct criu_tasks tasks = { 0 };
	criu_tasks_note(&tasks);
	int last_pid = pids_last(pid);
	waits_watch(waits, pid);
	*freeze_ns = clock_now_ns();
	status = proc_run((const char *const *)words.word, &options, err);
	waits_end_watch(waits);
	bool cut = status == -EINTR || status == -ETIMEDOUT;
	enum criu_cut left = cut ? criu_cut_look(image, pid, &tasks) : CRIU_CUT_RUNNING;
	if (left == CRIU_CUT_DUMPED) {
		log_info("the job is dumped, although %s", err->text);
		status = 0;
	}
	if (status == 0) {
		int64_t stopped = criu_image_stopped_ns(image);
		if (stopped > *freeze_ns)
			*freeze_ns = stopped;
		finish_image(image, waits, last_pid);
		return 0;
	}
	see_that_it_runs(pid);
	/* criu does so itself, but not when it was killed. */
	struct error unlocking = { 0 };
	if (network_unlock(network, &unlocking) < 0)
		log_error("%s", unlocking.text);
	if (left == CRIU_CUT_BROKEN)
		return error_set(err, EOWNERDEAD,
				 "criu was killed while it held the job, which cannot go on");
	return explain(layout, "dump", status, "the checkpoint failed", err);
}

/* ---- restore ---- */

struct entrance {
	int fds[CGROUP_HIERARCHIES_MAX];
	int count;
};

static int enter(void *context)
{
	const struct entrance *entrance = context;
	return container_enter_cgroup(entrance->fds, entrance->count);
}

/* Half a job must not stay: with --restore-sibling its first process may be a child of ours that criu left.
 */
static void kill_leftovers(void)
{
	for (int i = 0; i < 200 && cgroup_kill() > 0; i++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/*
 * Opens the network when criu writes the pidfile: all sockets are back then, and no task runs yet. Later, and
 * what the job sends first would wait for TCP's timers.
 */
struct opener {
	struct network *network;
	json_object *socket_options;
	const char *pidfile;
	int watch, stop;
	bool opened;
	pthread_t thread;
};

static void *open_network(void *context)
{
	struct opener *opener = context;
	struct pollfd waiting[] = { { .fd = opener->watch, .events = POLLIN },
				    { .fd = opener->stop, .events = POLLIN } };
	char events[4096];
	struct error err = { 0 };
	while (access(opener->pidfile, F_OK) < 0) {
		if (poll(waiting, array_length(waiting), -1) < 0)
			continue;
		if (waiting[1].revents || read(opener->watch, events, sizeof(events)) < 0)
			return NULL;
	}
	sockopts_set(opener->socket_options);
	opener->opened = network_unlock(opener->network, &err) == 0;
	return NULL;
}

static int start_opener(struct opener *opener, const char *directory, struct error *err)
{
	opener->watch = inotify_init1(IN_CLOEXEC);
	opener->stop = eventfd(0, EFD_CLOEXEC);
	int code = opener->watch < 0 || opener->stop < 0 ||
			   inotify_add_watch(opener->watch, directory, IN_CREATE) < 0
		       ? errno
		       : pthread_create(&opener->thread, NULL, open_network, opener);
	if (code == 0)
		return 0;
	close(opener->watch);
	close(opener->stop);
	return error_sys(err, code, "cannot watch the restore");
}

static void stop_opener(struct opener *opener)
{
	eventfd_write(opener->stop, 1);
	pthread_join(opener->thread, NULL);
	close(opener->watch);
	close(opener->stop);
}

int criu_restore(const struct layout *layout, struct network *network, json_object *socket_options, bool once,
		 int timeout_ms, pid_t *pid, int64_t *thaw_ns, struct error *err)
{
	autowords struct words words = { 0 };
	autofree char *pidfile = layout_path(layout, "pid"), *log = layout_path(layout, "criu-restore.log"),
		      *image = layout_path(layout, "process/image");
	static const char *const flags[] = { "--restore-detached", "--restore-sibling", NULL };
	unlink(pidfile);
	unlink(log);

	add_common(&words, layout, "restore", "skip");
	add_words(&words, flags);
	add_word(&words, format_string("--root"));
	add_word(&words, layout_path(layout, "root"));
	add_word(&words, format_string("--pidfile"));
	add_word(&words, format_string("%s", pidfile));
	for (size_t i = 0; i < layout->count; i++) {
		add_word(&words, format_string("--external"));
		add_word(&words, format_string("mnt[%s]:%s", layout->binds[i].key, layout->binds[i].source));
	}

	struct entrance entrance;
	struct opener opener = { .network = network, .socket_options = socket_options, .pidfile = pidfile };
	int status = network_lock(network, err);
	if (status == 0)
		status = start_opener(&opener, layout->directory, err);
	if (status < 0)
		return status;
	entrance.count = cgroup_open(entrance.fds, err);
	if (entrance.count < 0) {
		stop_opener(&opener);
		return entrance.count;
	}
	autofree char *spent = spent_path(layout), *note = format_string(SPENT_NOTE "=%s", spent),
		      *last = format_string(SPENT_PIDFILE "=%s", pidfile);
	struct proc_options options = {
		.timeout_ms = timeout_ms > 0 ? timeout_ms : 1,
		.setup = enter,
		.setup_context = &entrance,
		.environment =
		    (const char *const[]){ "LD_PRELOAD=" PRELOADED_RESTORE, last, once ? note : NULL, NULL },
	};
	int64_t begun = clock_now_ns();
	status = proc_run((const char *const *)words.word, &options, err);
	*thaw_ns = clock_now_ns();
	cgroup_close(entrance.fds, entrance.count);
	stop_opener(&opener);
	if (status < 0) {
		kill_leftovers();
		return explain(layout, "restore", status, "the restore failed", err);
	}
	if (!opener.opened && network_unlock(network, err) < 0) {
		kill_leftovers();
		return -EIO;
	}
	int64_t resumed = criu_image_resumed_ns(image);
	if (resumed > begun && resumed < *thaw_ns)
		*thaw_ns = resumed;
	autofree char *text = NULL;
	status = file_read(pidfile, 64, &text, NULL);
	*pid = status == 0 ? (pid_t)strtol(text, NULL, 10) : 0;
	if (*pid > 0) {
		go_on_with_pids(layout, *pid);
		return 0;
	}
	kill_leftovers();
	return error_set(err, EIO, "the restore failed: criu did not tell the job's first process");
}
