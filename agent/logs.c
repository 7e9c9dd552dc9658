#include "agent/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <inotifytools/inotify.h>
#include <inotifytools/inotifytools.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/logdir.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"

#define WAKE_FILE "/run/float/wake"

enum {
	WATCH_LIMIT = 512,       /* directories of one job; beyond: seen by the stream's look each second */
	LOST_LIMIT = 1000,       /* watches that the kernel dropped: the library remembers them for ever */
	WALK_PACE = 4,           /* walking for new directories takes at most a fifth of the time */
	WALK_WAIT_NS = 50000000, /* a longer pause is not waited for: the next event or second ends it */
	WALK_SLICE_NS = 1000000, /* so soon a close is noticed in a pause */
	WATCH_EVENTS = IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
		       IN_ONLYDIR | IN_EXCL_UNLINK,
};

struct log_root {
	struct log_root *following;
	char *id, *directory;
	enum logs_state state;
	bool stop;            /* atomic: set while somebody wants `busy` to close it */
	bool wanted, watched; /* by the watcher */
	bool walk;            /* watcher's own: directories came or went */
	int64_t walk_at_ns;   /* watcher's own: not before */
	bool touched;         /* watcher's own: to be rung */
	int users;            /* who has a pointer to it without the lock */
	pthread_mutex_t busy; /* also guards directory; taken after `lock` where both are held */
};

struct watch {
	int wd; /* growing: the array is sorted */
	struct log_root *root;
	uint64_t directory; /* inode number */
};

struct logs {
	pthread_mutex_t lock;
	pthread_cond_t done; /* the watcher has done what was wanted */
	struct log_root *roots;
	bool stopping;
	int wake_fd;
	pthread_t watcher;
	void (*ring)(void *context, const char *id);
	void *context;

	/* The watcher's own. */
	struct watch *watches;
	size_t watch_count, watch_room;
	size_t lost;
	uint64_t spelling;
};

static void wake_watcher(struct logs *logs)
{
	/* The watcher waits for inotify events and nothing else: this is one. */
	if (futimens(logs->wake_fd, NULL) < 0)
		log_error("cannot touch %s: %s", WAKE_FILE, strerror(errno));
}

static struct log_root *find_root(struct logs *logs, const char *id)
{
	struct log_root *root = logs->roots;
	while (root && strcmp(root->id, id) != 0)
		root = root->following;
	return root;
}

/* Called with the lock. */
static void drop_root(struct logs *logs, struct log_root *root)
{
	if (--root->users > 0 || find_root(logs, root->id) == root)
		return;
	pthread_mutex_destroy(&root->busy);
	free(root->id);
	free(root->directory);
	free(root);
}

/*
 * The library finds watches by name and cannot forget one that the kernel dropped, so each watch gets a
 * spelling of its own: the bits of a number as "//" and "/." after the path of the directory's descriptor.
 */
static int watch_directory(struct logs *logs, struct log_root *root, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	for (size_t i = 0; i < logs->watch_count; i++)
		if (logs->watches[i].root == root && logs->watches[i].directory == st.st_ino)
			return 0;
	char path[200];
	int used = snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (uint64_t left = ++logs->spelling; left; left >>= 1)
		used += snprintf(path + used, sizeof(path) - (size_t)used, left & 1 ? "//" : "/.");
	/* The library adds a slash to a directory that has none. */
	snprintf(path + used, sizeof(path) - (size_t)used, "/");
	if (!inotifytools_watch_file(path, WATCH_EVENTS))
		return -inotifytools_error();
	int wd = inotifytools_wd_from_filename(path);
	if (wd < 0)
		return -ENOENT;
	if (logs->watch_count == logs->watch_room) {
		logs->watch_room = logs->watch_room ? logs->watch_room * 2 : 64;
		logs->watches = reallocarray(logs->watches, logs->watch_room, sizeof(*logs->watches));
		if (!logs->watches)
			abort();
	}
	logs->watches[logs->watch_count++] = (struct watch){ .wd = wd, .root = root, .directory = st.st_ino };
	return 0;
}

/* With the directory's busy lock. */
static void watch_tree(struct logs *logs, struct log_root *root)
{
	autoclose int top = logdir_open(root->directory);
	int status = top < 0 ? top : watch_directory(logs, root, top);
	if (status < 0) {
		log_warning("job %s: cannot watch %s, its logs come once a second: %s", root->id,
			    root->directory, strerror(-status));
		return;
	}
	struct logdir_list list = { 0 };
	if (logdir_scan(top, &root->stop, &list) < 0)
		return;
	int left = WATCH_LIMIT;
	for (size_t i = 0; i < list.count && left > 0; i++) {
		if (list.entries[i].type != LOGDIR_DIRECTORY)
			continue;
		autoclose int fd = logdir_open_directory(top, list.entries[i].path);
		status = fd < 0 ? 0 : watch_directory(logs, root, fd);
		if (status < 0) {
			log_info("job %s: cannot watch %s of its logs, it comes once a second: %s", root->id,
				 list.entries[i].name, strerror(-status));
			break;
		}
		left--;
	}
	logdir_clear(&list);
}

static void unwatch_tree(struct logs *logs, struct log_root *root)
{
	size_t kept = 0;
	for (size_t i = 0; i < logs->watch_count; i++) {
		if (logs->watches[i].root == root)
			inotifytools_remove_watch_by_wd(logs->watches[i].wd);
		else
			logs->watches[kept++] = logs->watches[i];
	}
	logs->watch_count = kept;
}

static int start_library(struct logs *logs)
{
	if (!inotifytools_initialize())
		return -inotifytools_error();
	logs->lost = 0;
	logs->watch_count = 0;
	return inotifytools_watch_file(WAKE_FILE, IN_ATTRIB) ? 0 : -inotifytools_error();
}

static int compare_watches(const void *one, const void *other)
{
	int a = ((const struct watch *)one)->wd, b = ((const struct watch *)other)->wd;
	return a < b ? -1 : a > b;
}

static void note_event(struct logs *logs, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW) {
		pthread_mutex_lock(&logs->lock);
		for (struct log_root *root = logs->roots; root; root = root->following)
			root->touched = root->walk = true;
		pthread_mutex_unlock(&logs->lock);
		return;
	}
	struct watch key = { .wd = event->wd };
	struct watch *watch = logs->watch_count ? bsearch(&key, logs->watches, logs->watch_count,
							  sizeof(*logs->watches), compare_watches)
						: NULL;
	if (!watch)
		return;
	watch->root->touched = true;
	if ((event->mask & IN_ISDIR) && (event->mask & (IN_CREATE | IN_MOVED_TO)))
		watch->root->walk = true;
	if (event->mask & IN_IGNORED) {
		logs->watch_count--;
		memmove(watch, watch + 1,
			(size_t)(logs->watches + logs->watch_count - watch) * sizeof(*watch));
		logs->lost++;
	}
}

/* What others asked for, and what the events brought, for one directory. Called and returns with the lock. */
static void attend(struct logs *logs, struct log_root *root)
{
	bool touched = root->touched;
	int64_t early = root->watched ? root->walk_at_ns - clock_monotonic_ns() : 0;
	bool walk = (!root->watched || root->walk) && early < WALK_WAIT_NS;
	root->touched = false;
	if (root->watched && !root->wanted) {
		unwatch_tree(logs, root);
		root->watched = false;
		pthread_cond_broadcast(&logs->done);
	}
	if (!root->wanted)
		return;
	if (!walk && !touched)
		return;
	if (!root->watched)
		root->walk_at_ns = 0;
	root->watched = true;
	pthread_mutex_unlock(&logs->lock);
	if (walk) {
		while ((early = root->walk_at_ns - clock_monotonic_ns()) > 0 &&
		       !__atomic_load_n(&root->stop, __ATOMIC_RELAXED))
			nanosleep(
			    &(struct timespec){ .tv_nsec = early < WALK_SLICE_NS ? early : WALK_SLICE_NS },
			    NULL);
		int64_t before = clock_monotonic_ns();
		root->walk = false;
		pthread_mutex_lock(&root->busy);
		if (!__atomic_load_n(&root->stop, __ATOMIC_RELAXED))
			watch_tree(logs, root);
		pthread_mutex_unlock(&root->busy);
		int64_t after = clock_monotonic_ns();
		root->walk_at_ns = after + (after - before) * WALK_PACE;
	}
	logs->ring(logs->context, root->id);
	pthread_mutex_lock(&logs->lock);
}

static void attend_all(struct logs *logs)
{
	pthread_mutex_lock(&logs->lock);
	for (struct log_root *root = logs->roots, *following; root; root = following) {
		root->users++;
		attend(logs, root);
		following = root->following;
		drop_root(logs, root);
	}
	pthread_mutex_unlock(&logs->lock);
}

/* The library keeps what the kernel dropped: begin anew before it is much. */
static void restart_library(struct logs *logs)
{
	inotifytools_cleanup();
	int status = start_library(logs);
	if (status < 0)
		log_error("cannot watch logs any more: %s", strerror(-status));
	pthread_mutex_lock(&logs->lock);
	for (struct log_root *root = logs->roots; root; root = root->following)
		root->walk = true;
	pthread_mutex_unlock(&logs->lock);
}

static void *watcher_main(void *argument)
{
	struct logs *logs = argument;
	for (;;) {
		pthread_mutex_lock(&logs->lock);
		bool stopping = logs->stopping;
		pthread_mutex_unlock(&logs->lock);
		if (stopping)
			return NULL;
		attend_all(logs);
		if (logs->lost > LOST_LIMIT) {
			restart_library(logs);
			continue;
		}
		/* Whole seconds; 0 is for ever in one version of the library and at once in another. */
		struct inotify_event *event = inotifytools_next_event(1);
		if (event)
			note_event(logs, event);
	}
}

struct logs *logs_start(void (*ring)(void *context, const char *id), void *context, struct error *err)
{
	struct logs *logs = calloc(1, sizeof(*logs));
	if (!logs)
		abort();
	*logs = (struct logs){ .lock = PTHREAD_MUTEX_INITIALIZER,
			       .done = PTHREAD_COND_INITIALIZER,
			       .ring = ring,
			       .context = context };
	logs->wake_fd = open(WAKE_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int status = logs->wake_fd < 0 ? -errno : start_library(logs);
	if (status == 0)
		status = -pthread_create(&logs->watcher, NULL, watcher_main, logs);
	if (status == 0)
		return logs;
	error_sys(err, -status, "cannot watch logs; is fs.inotify.max_user_instances reached");
	if (logs->wake_fd >= 0)
		close(logs->wake_fd);
	free(logs);
	return NULL;
}

void logs_stop(struct logs *logs)
{
	pthread_mutex_lock(&logs->lock);
	logs->stopping = true;
	pthread_mutex_unlock(&logs->lock);
	wake_watcher(logs);
	pthread_join(logs->watcher, NULL);
	inotifytools_cleanup();
	while (logs->roots) {
		struct log_root *root = logs->roots;
		logs->roots = root->following;
		root->users = 1;
		drop_root(logs, root);
	}
	close(logs->wake_fd);
	free(logs->watches);
	free(logs);
}

void logs_open(struct logs *logs, const char *id, const char *directory)
{
	pthread_mutex_lock(&logs->lock);
	struct log_root *root = find_root(logs, id);
	if (!root) {
		root = calloc(1, sizeof(*root));
		if (!root)
			abort();
		*root = (struct log_root){ .id = format_string("%s", id),
					   .busy = PTHREAD_MUTEX_INITIALIZER,
					   .following = logs->roots };
		logs->roots = root;
	}
	if (root->state != LOGS_OPEN) {
		pthread_mutex_lock(&root->busy);
		free(root->directory);
		root->directory = format_string("%s", directory);
		pthread_mutex_unlock(&root->busy);
		root->state = LOGS_OPEN;
		root->wanted = true;
		__atomic_store_n(&root->stop, false, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&logs->lock);
	wake_watcher(logs);
	logs->ring(logs->context, id);
}

void logs_close(struct logs *logs, const char *id)
{
	pthread_mutex_lock(&logs->lock);
	struct log_root *root = find_root(logs, id);
	if (!root || root->state != LOGS_OPEN) {
		pthread_mutex_unlock(&logs->lock);
		return;
	}
	root->users++;
	root->state = LOGS_CLOSED;
	root->wanted = false;
	__atomic_store_n(&root->stop, true, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&logs->lock);
	wake_watcher(logs);

	/* Who is inside leaves; nobody enters any more. */
	pthread_mutex_lock(&root->busy);
	pthread_mutex_unlock(&root->busy);
	pthread_mutex_lock(&logs->lock);
	while (root->watched && !logs->stopping)
		pthread_cond_wait(&logs->done, &logs->lock);
	drop_root(logs, root);
	pthread_mutex_unlock(&logs->lock);
	logs->ring(logs->context, id);
}

void logs_forget(struct logs *logs, const char *id)
{
	logs_close(logs, id);
	pthread_mutex_lock(&logs->lock);
	for (struct log_root **link = &logs->roots; *link; link = &(*link)->following) {
		struct log_root *root = *link;
		if (strcmp(root->id, id) != 0)
			continue;
		root->users++;
		*link = root->following;
		drop_root(logs, root);
		break;
	}
	pthread_mutex_unlock(&logs->lock);
}

enum logs_state logs_enter(struct logs *logs, const char *id, struct logs_visit *visit)
{
	pthread_mutex_lock(&logs->lock);
	struct log_root *root = find_root(logs, id);
	enum logs_state state = root ? root->state : LOGS_NEVER;
	if (state == LOGS_OPEN)
		root->users++;
	pthread_mutex_unlock(&logs->lock);
	if (state != LOGS_OPEN)
		return state;

	pthread_mutex_lock(&root->busy);
	int fd = __atomic_load_n(&root->stop, __ATOMIC_RELAXED) ? -ECANCELED : logdir_open(root->directory);
	if (fd >= 0) {
		*visit = (struct logs_visit){ .owner = root, .root = fd, .stop = &root->stop };
		return LOGS_OPEN;
	}
	pthread_mutex_unlock(&root->busy);
	pthread_mutex_lock(&logs->lock);
	drop_root(logs, root);
	pthread_mutex_unlock(&logs->lock);
	return LOGS_CLOSED;
}

void logs_leave(struct logs *logs, struct logs_visit *visit)
{
	close(visit->root);
	pthread_mutex_unlock(&visit->owner->busy);
	pthread_mutex_lock(&logs->lock);
	drop_root(logs, visit->owner);
	pthread_mutex_unlock(&logs->lock);
	visit->owner = NULL;
}
