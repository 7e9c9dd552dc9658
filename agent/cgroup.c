#include "agent/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/cgroup_limits.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

struct places {
	size_t count;
	char *path[CGROUP_HIERARCHIES_MAX]; /* …/job */
};

static void free_places(struct places *places)
{
	for (size_t i = 0; i < places->count; i++)
		free(places->path[i]);
}

#define autoplaces __attribute__((cleanup(free_places)))

static bool is_cgroup(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 &&
	       (fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == (__typeof__(fs.f_type))CGROUP2_SUPER_MAGIC);
}

/* The place of this process below the mount point: "" at the root of its cgroup namespace, as on a host. */
static char *own_path(const char *controller)
{
	autofree char *text = NULL;
	if (file_read("/proc/self/cgroup", 65536, &text, NULL) < 0)
		return format_string("%s", "");
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		strsep(&line, ":");
		const char *names = strsep(&line, ":");
		if (!names || !line || strcmp(line, "/") == 0 || strstr(line, ".."))
			continue;
		if (strcmp(names, controller) == 0 ||
		    (names[0] == '\0' && strcmp(controller, "unified") == 0) ||
		    (strncmp(names, "name=", 5) == 0 && strcmp(names + 5, controller) == 0))
			return format_string("%s", line);
	}
	return format_string("%s", "");
}

static void add_place(struct places *places, const char *mount, const char *controller)
{
	if (places->count == CGROUP_HIERARCHIES_MAX)
		return;
	autofree char *own = own_path(controller);
	/* A v2 group with processes of its own has no controllers for children: the job's is beside ours. */
	char *last = strcmp(controller, "unified") == 0 ? strrchr(own, '/') : NULL;
	if (last)
		*last = '\0';
	places->path[places->count++] = format_string("%s%s/job", mount, own);
}

static void find_places(struct places *places)
{
	places->count = 0;
	if (is_cgroup(CGROUP_ROOT)) {
		add_place(places, CGROUP_ROOT, "unified");
		return;
	}
	autoclosedir DIR *dir = opendir(CGROUP_ROOT);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		/* `cpu` may be a symlink to `cpu,cpuacct`: only the directory itself counts. */
		if (entry->d_name[0] == '.' || entry->d_type != DT_DIR)
			continue;
		autofree char *mount = format_string("%s/%s", CGROUP_ROOT, entry->d_name);
		if (is_cgroup(mount))
			add_place(places, mount, entry->d_name);
	}
}

/* A v1 cpuset takes no process before it has CPUs and memory nodes: its parent's. */
static void inherit_cpuset(const char *place)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	for (size_t i = 0; i < array_length(files); i++) {
		autofree char *from = format_string("%s/../%s", place, files[i]);
		autofree char *to = format_string("%s/%s", place, files[i]);
		autofree char *value = NULL;
		if (file_read(from, 4096, &value, NULL) == 0)
			file_write(to, value);
	}
}

int cgroup_make(struct error *err)
{
	autoplaces struct places places;
	find_places(&places);
	for (size_t i = 0; i < places.count; i++) {
		if (mkdir(places.path[i], 0755) < 0 && errno != EEXIST)
			return error_sys(err, errno, "cannot make the job's cgroup %s", places.path[i]);
		if (strstr(places.path[i], "/cpuset"))
			inherit_cpuset(places.path[i]);
	}
	cgroup_set_limits();
	return 0;
}

char *cgroup_place(const char *controller)
{
	autoplaces struct places places;
	bool unified = strcmp(controller, "unified") == 0;
	autofree char *v1 = format_string(CGROUP_ROOT "/%s/", controller);
	find_places(&places);
	for (size_t i = 0; i < places.count; i++)
		if (strncmp(places.path[i], v1, strlen(v1)) == 0 || (unified && is_cgroup(CGROUP_ROOT)))
			return take_pointer(places.path[i]);
	return NULL;
}

void cgroup_remove(void)
{
	autoplaces struct places places;
	find_places(&places);
	for (size_t i = 0; i < places.count; i++)
		rmdir(places.path[i]);
}

int cgroup_open(int fds[CGROUP_HIERARCHIES_MAX], struct error *err)
{
	autoplaces struct places places;
	find_places(&places);
	int count = 0;
	for (size_t i = 0; i < places.count; i++) {
		autofree char *procs = format_string("%s/cgroup.procs", places.path[i]);
		int fd = open(procs, O_WRONLY | O_CLOEXEC);
		if (fd < 0) {
			int code = errno;
			cgroup_close(fds, count);
			return error_sys(err, code, "cannot open %s", procs);
		}
		fds[count++] = fd;
	}
	return count;
}

void cgroup_close(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

int cgroup_each_process(cgroup_process *call, void *context)
{
	autoplaces struct places places;
	find_places(&places);
	int met = 0;
	/* Every process of the job is in every hierarchy: one is enough. */
	if (places.count == 0)
		return 0;
	autofree char *procs = format_string("%s/cgroup.procs", places.path[0]);
	autofclose FILE *file = fopen(procs, "re");
	for (int pid; file && fscanf(file, "%d", &pid) == 1; met++)
		if (pid > 0) /* 0 is one of another pid namespace: it is not the job's */
			call(pid, context);
	return met;
}

static void kill_one(pid_t pid, void *context)
{
	(void)context;
	kill(pid, SIGKILL);
}

int cgroup_kill(void)
{
	return cgroup_each_process(kill_one, NULL);
}

static void add_memory(pid_t pid, void *context)
{
	int64_t *sum = context;
	autofree char *path = format_string("/proc/%d/status", (int)pid);
	autofree char *text = NULL;
	if (file_read(path, 65536, &text, NULL) < 0)
		return;
	static const char *const keys[] = { "\nRssAnon:", "\nRssShmem:" };
	for (size_t i = 0; i < array_length(keys); i++) {
		const char *at = strstr(text, keys[i]);
		if (at)
			*sum += strtoll(at + strlen(keys[i]), NULL, 10) * 1024;
	}
}

int64_t cgroup_memory(void)
{
	static const struct {
		const char *file, *key, *more;
	} tables[] = {
		{ CGROUP_ROOT "/job/memory.stat", "\nanon ", "\nshmem " },
		{ CGROUP_ROOT "/memory/job/memory.stat", "\ntotal_rss ", "\ntotal_shmem " },
	};
	for (size_t i = 0; i < array_length(tables); i++) {
		autofree char *text = NULL, *lined = NULL;
		if (file_read(tables[i].file, 65536, &text, NULL) < 0)
			continue;
		lined = format_string("\n%s", text);
		const char *key = strstr(lined, tables[i].key), *more = strstr(lined, tables[i].more);
		if (key)
			return strtoll(key + strlen(tables[i].key), NULL, 10) +
			       (more ? strtoll(more + strlen(tables[i].more), NULL, 10) : 0);
	}
	int64_t sum = 0;
	cgroup_each_process(add_memory, &sum);
	return sum;
}
