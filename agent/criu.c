#include "agent/criu.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/container.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/proc.h"

enum { WORDS_MAX = 48 + 2 * LAYOUT_BINDS_MAX, LOG_LIMIT = 16 << 20, CHECK_TIMEOUT_MS = 10000 };

/* criu's pipes for pages: larger than any of them. */
#define PIPE_MAX_SIZE "1073741824"
/* A deleted file that the job holds open goes into the image up to this size. */
#define GHOST_LIMIT   "1073741824"
#define FEATURE_CACHE "/run/criu.kdat"

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
	 * freeze, and not disguised as the job's user. What `check` itself thinks of the kernel is of no use.
	 */
	if (access(FEATURE_CACHE, F_OK) < 0 &&
	    proc_run((const char *const[]){ "criu", "check", NULL }, &options, &err) < 0)
		log_info("criu check: %s", err.text);
}

/* What both commands have in common; action is the first word. */
static void add_common(struct words *words, const struct layout *layout, const char *action)
{
	/*
	 * The network namespace is the keeper's, so there is none to lock or to carry. The binds are
	 * external. The job's cgroup is made by the agent. Instruction sets and the FPU's layout are
	 * compared, or a job would end by SIGILL on a lesser machine.
	 */
	static const char *const flags[] = { "--manage-cgroups=ignore", "--tcp-established",
					     "--ext-unix-sk",           "--file-locks",
					     "--network-lock",          "skip",
					     "--cpu-cap=fpu,ins",       "--link-remap",
					     "--ghost-limit",           GHOST_LIMIT,
					     "--skip-in-flight",        NULL };
	add_word(words, format_string("criu"));
	add_word(words, format_string("%s", action));
	add_words(words, flags);
	add_word(words, format_string("--images-dir"));
	add_word(words, layout_path(layout, "process/image"));
	/* Not on the volume: when that is full, its log is what says so. */
	add_word(words, format_string("--log-file"));
	add_word(words, format_string("%s/criu-%s.log", layout->directory, action));
}

static int explain(const struct layout *layout, const char *action, int status, const char *what,
		   struct error *err)
{
	char reason[300];
	autofree char *path = format_string("%s/criu-%s.log", layout->directory, action);
	autofree char *text = NULL;
	if (status == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "%s: it did not end within its time limit", what);
	/* No log: it could not even be run, and err says why. */
	if (file_read(path, LOG_LIMIT, &text, NULL) < 0)
		return error_prefix(err, "%s: ", what);
	log_info("%s: criu's log is kept in %s", what, path);
	criu_reason(text, reason, sizeof(reason));
	return error_set(err, EIO, "%s: %s", what, reason);
}

/* ---- dump ---- */

struct disguise {
	int cgroup_namespace;
	uid_t uid;
	gid_t gid;
};

/*
 * criu asks prlimit(2) about the tasks, which takes their own real user and group, or CAP_SYS_RESOURCE: root
 * of a machine that is itself a container does not have that. All of a job's tasks are its user's, unless
 * that is root.
 */
static int disguise(void *context)
{
	const struct disguise *as = context;
	if (setns(as->cgroup_namespace, CLONE_NEWCGROUP) < 0)
		return -errno;
	if (syscall(SYS_setresgid, as->gid, 0, 0) < 0 || syscall(SYS_setresuid, as->uid, 0, 0) < 0)
		return -errno;
	return 0;
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

int criu_dump(const struct layout *layout, pid_t pid, int timeout_ms, int64_t *freeze_ns, struct error *err)
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

	add_common(&words, layout, "dump");
	add_word(&words, format_string("--tree"));
	add_word(&words, format_string("%d", (int)pid));
	/* Seconds until all tasks must have stopped: a task in uninterruptible sleep ends the dump, not the
	 * job. */
	add_word(&words, format_string("--timeout"));
	add_word(&words, format_string("%d", timeout_ms > 10000 ? 10 : timeout_ms / 1000 + 1));
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
	struct disguise as = { fd, layout->spec->uid, layout->spec->gid };
	struct proc_options options = {
		.timeout_ms = timeout_ms > 0 ? timeout_ms : 1,
		.setup = disguise,
		.setup_context = &as,
	};
	*freeze_ns = clock_now_ns();
	status = proc_run((const char *const *)words.word, &options, err);
	if (status == 0)
		return 0;
	see_that_it_runs(pid);
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

int criu_restore(const struct layout *layout, int timeout_ms, pid_t *pid, int64_t *thaw_ns, struct error *err)
{
	autowords struct words words = { 0 };
	autofree char *pidfile = layout_path(layout, "pid"), *log = layout_path(layout, "criu-restore.log");
	static const char *const flags[] = { "--restore-detached", "--restore-sibling", NULL };
	unlink(pidfile);
	unlink(log);

	add_common(&words, layout, "restore");
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
	entrance.count = cgroup_open(entrance.fds, err);
	if (entrance.count < 0)
		return entrance.count;
	struct proc_options options = {
		.timeout_ms = timeout_ms > 0 ? timeout_ms : 1,
		.setup = enter,
		.setup_context = &entrance,
	};
	int status = proc_run((const char *const *)words.word, &options, err);
	*thaw_ns = clock_now_ns();
	cgroup_close(entrance.fds, entrance.count);
	if (status < 0) {
		kill_leftovers();
		return explain(layout, "restore", status, "the restore failed", err);
	}
	autofree char *text = NULL;
	status = file_read(pidfile, 64, &text, NULL);
	*pid = status == 0 ? (pid_t)strtol(text, NULL, 10) : 0;
	if (*pid > 0)
		return 0;
	kill_leftovers();
	return error_set(err, EIO, "the restore failed: criu did not tell the job's first process");
}

/* ---- the reason ---- */

/* What criu says, and what that means for whom it concerns. */
static const struct {
	const char *said;
	const char *means;
} known[] = {
	{ "No space left on device", "the volume for the process image is full" },
	{ "Can't lookup mount", "the job has a file open that does not belong to its container" },
	{ "Can't dump ghost file", "a deleted file that the job holds open is too large to be carried" },
	{ "Timeout reached", "a process of the job did not stop in time" },
	{ "io_uring", "the job uses io_uring, which cannot be carried" },
	{ "Can't dump half of pipe", "the job has a pipe open whose other end is outside of its container" },
	{ "External socket", "the job has a socket connected to a process outside of its container" },
	{ "cpu: ", "the CPU of the other host lacks something that the job's has" },
	{ "CPU instruction capabilities do not match",
	  "the CPU of the other host lacks something that the job's has" },
	{ "Can't get 1:16 opt",
	  "the job has a network socket open, which this criu cannot carry on this kernel" },
	{ "Can't get rlimit",
	  "a process of the job runs as another user, and this host may not ask for its limits" },
};

/* Said at level error, but harmless. */
static const char *const harmless[] = { "RLIMIT_NOFILE", "Unable to create tun", "Dumping FAILED",
					"Restoring FAILED", "Unable to open the log" };

static bool mentions(const char *line, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

void criu_reason(const char *log, char *sentence, size_t size)
{
	autofree char *copy = format_string("%s", log);
	const char *first = NULL;
	char *rest = copy;
	snprintf(sentence, size, "criu gave no reason");
	/* The first error is the cause; the later ones are its consequences. */
	for (char *line; !first && (line = strsep(&rest, "\n"));) {
		const char *error = strstr(line, "Error (");
		const char *text = error ? strstr(error, "): ") : NULL;
		if (text && !mentions(text, harmless, array_length(harmless)))
			first = text + strlen("): ");
	}
	if (!first)
		return;
	for (size_t i = 0; i < array_length(known); i++)
		if (strstr(first, known[i].said)) {
			snprintf(sentence, size, "%s (criu: %s)", known[i].means, first);
			return;
		}
	snprintf(sentence, size, "criu: %s", first);
}
