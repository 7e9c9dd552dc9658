#include "cloud/local/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"

enum { MAX_HIERARCHIES = 16, CPU_PERIOD_US = 100000 };

struct hierarchy {
	char *path;        /* where it is mounted */
	char *controllers; /* with commas; of v2: what it offers to children, perhaps nothing */
	bool v2;
};

struct cgroups {
	struct hierarchy hierarchies[MAX_HIERARCHIES];
	size_t count;
};

/* Controllers of which every host gets a group of its own; in v1 each may be a hierarchy of itself. */
static const char *const wanted[] = { "memory", "cpu", "pids", "cpuacct", "devices", "freezer" };
enum { REQUIRED = 3 /* the first of them carry the limits */ };

/* Everything that a v1 mount's options may name; the other options are flags. */
static const char *const known[] = { "cpuset",  "cpu",     "cpuacct", "blkio",      "memory",
				     "devices", "freezer", "net_cls", "perf_event", "net_prio",
				     "hugetlb", "pids",    "rdma",    "misc" };

static bool has_word(const char *list, const char *separators, const char *word)
{
	size_t length = strlen(word);
	for (const char *at = list; *at; at += strcspn(at, separators), at += strspn(at, separators))
		if (strcspn(at, separators) == length && strncmp(at, word, length) == 0)
			return true;
	return false;
}

static char *join_present(const char *list, const char *separators, const char *const words[], size_t count)
{
	char *joined = strdup("");
	for (size_t i = 0; i < count; i++) {
		if (!has_word(list, separators, words[i]))
			continue;
		char *longer = format_string("%s%s%s", joined, *joined ? "," : "", words[i]);
		free(joined);
		joined = longer;
	}
	return joined;
}

static const struct hierarchy *find(const struct cgroups *cgroups, const char *controller)
{
	for (size_t i = 0; i < cgroups->count; i++)
		if (has_word(cgroups->hierarchies[i].controllers, ",", controller))
			return &cgroups->hierarchies[i];
	return NULL;
}

/* One line of mountinfo: "… PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS … - TYPE SOURCE SUPEROPTIONS". */
static void take_mount(struct cgroups *cgroups, const char *line)
{
	char path[256], type[16], options[256];
	const char *rest = strstr(line, " - ");
	if (!rest || sscanf(line, "%*d %*d %*s %*s %255s", path) != 1 ||
	    sscanf(rest, " - %15s %*s %255s", type, options) != 2 || cgroups->count == MAX_HIERARCHIES)
		return;
	struct hierarchy found = { .v2 = strcmp(type, "cgroup2") == 0 };
	if (found.v2) {
		autofree char *file = format_string("%s/cgroup.controllers", path);
		autofree char *offered = NULL;
		if (file_read(file, 4096, &offered, NULL) < 0)
			return;
		found.controllers = join_present(offered, " \n", wanted, array_length(wanted));
	} else if (strcmp(type, "cgroup") == 0) {
		found.controllers = join_present(options, ",", known, array_length(known));
		bool useful = false;
		for (size_t i = 0; i < array_length(wanted); i++)
			useful |= has_word(found.controllers, ",", wanted[i]);
		if (!useful) {
			free(found.controllers);
			return;
		}
	} else {
		return;
	}
	/* Mounted a second time elsewhere, it is the same one. */
	for (size_t i = 0; i < cgroups->count; i++) {
		const struct hierarchy *other = &cgroups->hierarchies[i];
		if (other->v2 == found.v2 &&
		    (found.v2 || strcmp(other->controllers, found.controllers) == 0)) {
			free(found.controllers);
			return;
		}
	}
	found.path = strdup(path);
	cgroups->hierarchies[cgroups->count++] = found;
}

int cgroups_open(struct cgroups **out, struct error *err)
{
	struct cgroups *cgroups = calloc(1, sizeof(*cgroups));
	autofclose FILE *mounts = fopen("/proc/self/mountinfo", "re");
	if (!cgroups || !mounts) {
		cgroups_close(cgroups);
		return error_sys(err, ENOENT, "cannot read /proc/self/mountinfo");
	}
	autofree char *line = NULL;
	size_t size = 0;
	while (getline(&line, &size, mounts) > 0)
		take_mount(cgroups, line);
	for (size_t i = 0; i < REQUIRED; i++) {
		if (!find(cgroups, wanted[i])) {
			cgroups_close(cgroups);
			return error_set(err, ENODEV,
					 "the %s control group controller is not mounted; mount cgroup2 "
					 "on /sys/fs/cgroup",
					 wanted[i]);
		}
	}
	*out = cgroups;
	return 0;
}

void cgroups_close(struct cgroups *cgroups)
{
	if (!cgroups)
		return;
	for (size_t i = 0; i < cgroups->count; i++) {
		free(cgroups->hierarchies[i].path);
		free(cgroups->hierarchies[i].controllers);
	}
	free(cgroups);
}

static int make_group(const char *path)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* In v2 a group's children have the controllers that it switches on for them. */
static int enable_controllers(const char *path, const struct hierarchy *hierarchy)
{
	autofree char *file = format_string("%s/cgroup.subtree_control", path);
	for (size_t i = 0; i < array_length(wanted); i++) {
		if (!has_word(hierarchy->controllers, ",", wanted[i]))
			continue;
		autofree char *word = format_string("+%s", wanted[i]);
		int status = file_write(file, word);
		if (status < 0)
			return status;
	}
	return 0;
}

static int set_limits(const struct cgroups *cgroups, const char *group, const struct limits *limits,
		      struct error *err)
{
	char memory[32], quota[32], period[32], cpu_max[64], pids[32];
	snprintf(memory, sizeof(memory), "%lld", (long long)limits->memory_bytes);
	snprintf(quota, sizeof(quota), "%d", limits->cpus * CPU_PERIOD_US);
	snprintf(period, sizeof(period), "%d", CPU_PERIOD_US);
	snprintf(cpu_max, sizeof(cpu_max), "%s %s", quota, period);
	snprintf(pids, sizeof(pids), "%d", LIMITS_PIDS);
	/* In this order: v1 refuses a limit with swap that is below the one without. Swap may be off in the
	 * kernel. */
	const struct {
		const char *controller;
		bool v2, optional;
		const char *file, *value;
	} settings[] = {
		{ "memory", false, false, "memory.limit_in_bytes", memory },
		{ "memory", false, true, "memory.memsw.limit_in_bytes", memory },
		{ "memory", true, false, "memory.max", memory },
		{ "memory", true, true, "memory.swap.max", "0" },
		{ "cpu", false, false, "cpu.cfs_period_us", period },
		{ "cpu", false, false, "cpu.cfs_quota_us", quota },
		{ "cpu", true, false, "cpu.max", cpu_max },
		{ "pids", false, false, "pids.max", pids },
		{ "pids", true, false, "pids.max", pids },
	};
	for (size_t i = 0; i < array_length(settings); i++) {
		const struct hierarchy *hierarchy = find(cgroups, settings[i].controller);
		if (hierarchy->v2 != settings[i].v2)
			continue;
		autofree char *file = format_string("%s/%s/%s", hierarchy->path, group, settings[i].file);
		int status = file_write(file, settings[i].value);
		if (status < 0 && !settings[i].optional)
			return error_sys(err, -status, "cannot write %s to %s", settings[i].value, file);
	}
	return 0;
}

int host_cgroup_create(const struct cgroups *cgroups, const char *parent, const char *name,
		       const struct limits *limits, struct error *err)
{
	autofree char *group = format_string("%s/%s", parent, name);
	for (size_t i = 0; i < cgroups->count; i++) {
		const struct hierarchy *hierarchy = &cgroups->hierarchies[i];
		autofree char *above = format_string("%s/%s", hierarchy->path, parent);
		autofree char *path = format_string("%s/%s", hierarchy->path, group);
		int status = make_group(above);
		if (status == 0 && hierarchy->v2)
			status = enable_controllers(hierarchy->path, hierarchy);
		if (status == 0 && hierarchy->v2)
			status = enable_controllers(above, hierarchy);
		if (status == 0)
			status = make_group(path);
		if (status < 0)
			return error_sys(err, -status, "cannot make the control group %s", path);
	}
	return set_limits(cgroups, group, limits, err);
}

/* Directories only: the files of a group are the kernel's. */
static int remove_groups(const char *path)
{
	{
		autoclosedir DIR *directory = opendir(path);
		if (!directory)
			return errno == ENOENT ? 0 : -errno;
		struct dirent *entry;
		while ((entry = readdir(directory))) {
			if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
				continue;
			autofree char *below = format_string("%s/%s", path, entry->d_name);
			int status = remove_groups(below);
			if (status < 0)
				return status;
		}
	}
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

int host_cgroup_remove(const struct cgroups *cgroups, const char *group)
{
	int result = 0;
	for (size_t i = 0; i < cgroups->count; i++) {
		autofree char *path = format_string("%s/%s", cgroups->hierarchies[i].path, group);
		int status = remove_groups(path);
		/* A killed process leaves its groups a little after it is seen to be dead. */
		for (int attempt = 0; status == -EBUSY && attempt < 400; attempt++) {
			clock_sleep_ms(5);
			status = remove_groups(path);
		}
		if (status < 0)
			result = status;
	}
	return result;
}

json_object *host_cgroup_describe(const struct cgroups *cgroups, const char *group)
{
	bool beside_v1 = false;
	for (size_t i = 0; i < cgroups->count; i++)
		beside_v1 |= !cgroups->hierarchies[i].v2;
	json_object *list = json_object_new_array();
	for (size_t i = 0; i < cgroups->count; i++) {
		const struct hierarchy *hierarchy = &cgroups->hierarchies[i];
		json_object *entry = json_object_new_object();
		autofree char *path = format_string("%s/%s", hierarchy->path, group);
		json_set_string(entry, "path", path);
		json_set_bool(entry, "v2", hierarchy->v2);
		json_set_string(entry, "options", hierarchy->controllers);
		json_set_string(entry, "at",
				!hierarchy->v2 ? hierarchy->controllers
				: beside_v1    ? "unified"
					       : "");
		json_object_array_add(list, entry);
	}
	return list;
}

char *host_cgroup_monitor(const struct cgroups *cgroups, const char *parent)
{
	for (size_t i = 0; i < cgroups->count; i++) {
		if (!cgroups->hierarchies[i].v2)
			continue;
		autofree char *path = format_string("%s/%s/boot", cgroups->hierarchies[i].path, parent);
		return make_group(path) < 0 ? NULL : format_string("%s/cgroup.procs", path);
	}
	return NULL;
}
