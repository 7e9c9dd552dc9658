#include "agent/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/logdir.h"
#include "agent/subvolume.h"
#include "lib/cleanup.h"

enum {
	NAME_SIZE = 33,
	SUBVOLUME_SIZE = 64,
	/* A volume is short of room with less than this part of it, and less than ROOM_MIN: what a job writes until the blocks
	   are free that a snapshot gave up. */
	ROOM_PART = 4,
};

#define ROOM_MIN (4LL << 30)
/* And besides for a chunk of metadata (btrfs allots up to 256 MiB at once): while the data has taken all chunks a write fails for
   want of it, with room for more data left. */
#define ROOM_CHUNK      (256LL << 20)
#define SNAPSHOT_PREFIX "snapshot."
#define BEFORE_PREFIX   "before."

bool snapshots_name_ok(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
	size_t length = strspn(name, letters);
	return length > 0 && length < NAME_SIZE && name[length] == '\0';
}

/* What is done with one subvolume of the open top of its volume; snap may be NULL. */
typedef int visit(int top, const char *subvolume, const char *snap, struct error *err);

static int visit_volume(const char *serial, const char *const *subvolumes, visit *visit, const char *snap,
			struct error *err)
{
	autoclose int top = -1;
	int status = subvolume_open_top(serial, 0, &top, err);
	for (size_t i = 0; status == 0 && subvolumes[i]; i++)
		status = visit(top, subvolumes[i], snap, err);
	return status;
}

/* The log is the last: when that is done, all of them are. */
static int visit_all(struct layout *layout, visit *visit, const char *snap, struct error *err)
{
	static const char *const data[] = { "data", NULL }, *const work[] = { "root", "log", NULL };
	int status = 0;
	for (size_t i = 0; status == 0 && i < layout->spec->data_count; i++)
		status = visit_volume(layout->spec->data[i].volume, data, visit, snap, err);
	return status < 0 ? status : visit_volume(layout->spec->work, work, visit, snap, err);
}

static void name_snapshot(char name[SUBVOLUME_SIZE], const char *snap, const char *subvolume)
{
	snprintf(name, SUBVOLUME_SIZE, SNAPSHOT_PREFIX "%s.%s", snap, subvolume);
}

static void name_before(char name[SUBVOLUME_SIZE], const char *subvolume)
{
	snprintf(name, SUBVOLUME_SIZE, BEFORE_PREFIX "%s", subvolume);
}

static int take(int top, const char *subvolume, const char *snap, struct error *err)
{
	char name[SUBVOLUME_SIZE];
	name_snapshot(name, snap, subvolume);
	return subvolume_snapshot(top, subvolume, name, true, err);
}

int snapshots_take(struct layout *layout, const char *snap, struct error *err)
{
	return visit_all(layout, take, snap, err);
}

static int find(int top, const char *subvolume, const char *snap, struct error *err)
{
	char name[SUBVOLUME_SIZE];
	name_snapshot(name, snap, subvolume);
	return subvolume_exists(top, name) ? 0 : error_set(err, ENOENT, "there is no snapshot %s", snap);
}

bool snapshots_are_complete(struct layout *layout, const char *snap)
{
	return visit_all(layout, find, snap, NULL) == 0;
}

int snapshots_describe(struct layout *layout, const char *snap, int64_t *taken_ns, json_object **logs,
		       struct error *err)
{
	char name[SUBVOLUME_SIZE];
	autoclose int top = -1;
	name_snapshot(name, snap, "log");
	int status = subvolume_open_top(layout->spec->work, 0, &top, err);
	if (status < 0)
		return status;
	autoclose int log = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (log < 0)
		return error_sys(err, errno, "cannot open the log of snapshot %s", snap);
	*taken_ns = subvolume_made_ns(log);
	*logs = logdir_sizes(log);
	return 0;
}

/* One that was cut off before is begun anew: what there is instead of `before` is half of a copy at worst. */
static int go_back(int top, const char *subvolume, const char *snap, struct error *err)
{
	char name[SUBVOLUME_SIZE], before[SUBVOLUME_SIZE];
	name_snapshot(name, snap, subvolume);
	name_before(before, subvolume);
	int status = subvolume_exists(top, before) ? subvolume_destroy(top, subvolume, err)
						   : subvolume_rename(top, subvolume, before, err);
	return status < 0 ? status : subvolume_snapshot(top, name, subvolume, false, err);
}

int snapshots_go_back(struct layout *layout, const char *snap, struct error *err)
{
	int status = visit_all(layout, find, snap, err);
	return status < 0 ? status : visit_all(layout, go_back, snap, err);
}

static int undo(int top, const char *subvolume, const char *snap, struct error *err)
{
	char before[SUBVOLUME_SIZE];
	(void)snap;
	name_before(before, subvolume);
	if (!subvolume_exists(top, before))
		return 0;
	int status = subvolume_destroy(top, subvolume, err);
	return status < 0 ? status : subvolume_rename(top, before, subvolume, err);
}

int snapshots_undo(struct layout *layout, struct error *err)
{
	return visit_all(layout, undo, NULL, err);
}

/* ---- which there are ---- */

/* The name within that of a subvolume. */
static bool is_snapshot(const char *subvolume, char name[NAME_SIZE])
{
	return sscanf(subvolume, SNAPSHOT_PREFIX "%32[^.].", name) == 1;
}

/* Numbers by their value, which is the order of time. */
static int compare_names(const void *one, const void *other)
{
	const char *a = json_object_get_string(*(json_object *const *)one),
		   *b = json_object_get_string(*(json_object *const *)other);
	return strverscmp(a, b);
}

json_object *snapshots_list(struct layout *layout)
{
	autoclose int top = -1;
	if (subvolume_open_top(layout->spec->work, 0, &top, NULL) < 0)
		return NULL;
	autoclosedir DIR *list = fdopendir(top);
	if (!list)
		return NULL;
	take_fd(top);
	json_object *names = json_object_new_array();
	for (struct dirent *entry; (entry = readdir(list));) {
		char name[NAME_SIZE];
		/* The log's is the last of each. */
		if (is_snapshot(entry->d_name, name) && strcmp(strrchr(entry->d_name, '.'), ".log") == 0)
			json_object_array_add(names, json_object_new_string(name));
	}
	json_object_array_sort(names, compare_names);
	return names;
}

static bool is_short(const char *path)
{
	struct statvfs fs;
	if (statvfs(path, &fs) < 0)
		return false;
	int64_t all = (int64_t)(fs.f_blocks * fs.f_frsize), left = (int64_t)(fs.f_bavail * fs.f_frsize);
	return left < ROOM_CHUNK + (all / ROOM_PART < ROOM_MIN ? all / ROOM_PART : ROOM_MIN);
}

bool snapshots_room_is_short(const struct layout *layout)
{
	autofree char *work = layout_path(layout, "work");
	bool found = is_short(work);
	for (size_t i = 0; i < layout->spec->data_count && !found; i++) {
		char name[32];
		snprintf(name, sizeof(name), "data-%zu", i);
		autofree char *path = layout_path(layout, name);
		found = is_short(path);
	}
	return found;
}

/* ---- what is not wanted any more ---- */

static int forget_before(int top, const char *subvolume, const char *snap, struct error *err)
{
	char before[SUBVOLUME_SIZE];
	(void)snap;
	name_before(before, subvolume);
	return subvolume_destroy(top, before, err);
}

static bool is_kept(const char *subvolume, json_object *keep)
{
	char name[NAME_SIZE];
	if (!is_snapshot(subvolume, name))
		return true;
	for (size_t i = 0; i < json_object_array_length(keep); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(keep, i)), name) == 0)
			return true;
	return false;
}

static int tidy_volume(const char *serial, json_object *keep, struct error *err)
{
	autoclose int top = -1;
	int status = subvolume_open_top(serial, 0, &top, err);
	if (status < 0)
		return status;
	bool some = false;
	int copy = dup(top);
	autoclosedir DIR *list = copy < 0 ? NULL : fdopendir(copy);
	if (!list)
		return error_sys(err, errno, "cannot list the snapshots on the volume %s", serial);
	for (struct dirent *entry; status == 0 && (entry = readdir(list));)
		if (!is_kept(entry->d_name, keep)) {
			status = subvolume_destroy(top, entry->d_name, err);
			some = true;
		}
	if (some)
		subvolume_hurry(top);
	return status;
}

int snapshots_forget_before(struct layout *layout, struct error *err)
{
	return visit_all(layout, forget_before, NULL, err);
}

int snapshots_tidy(struct layout *layout, json_object *keep, struct error *err)
{
	int status = 0;
	if (!keep)
		return 0;
	for (size_t i = 0; status == 0 && i < layout->spec->data_count; i++)
		status = tidy_volume(layout->spec->data[i].volume, keep, err);
	return status < 0 ? status : tidy_volume(layout->spec->work, keep, err);
}
