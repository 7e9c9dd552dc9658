/* The logs of a job that was taken back to an instant: fs/mirror.h, mirror_cut. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/mirror_inside.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"

static json_object *describe(const struct mirror_entry *entry)
{
	json_object *name = json_object_new_object();
	json_set_string(name, "path", entry->path);
	json_set_int(name, "generation", (int64_t)entry->generation);
	json_set_string(name, "type", mirror_type_names[entry->type]);
	json_set_int(name, "mode", entry->mode);
	json_set_int(name, "mtime_ns", entry->mtime_ns);
	if (entry->type == MIRROR_LINK)
		json_set_string(name, "target", entry->target);
	return name;
}

/* -1: it was not there then. */
static int64_t size_then(json_object *logs, uint64_t generation)
{
	for (size_t i = 0; i < json_object_array_length(logs); i++) {
		json_object *pair = json_object_array_get_idx(logs, i);
		if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2)
			continue;
		if (json_object_get_uint64(json_object_array_get_idx(pair, 0)) == generation)
			return json_object_get_int64(json_object_array_get_idx(pair, 1));
	}
	return -1;
}

static int copy_rest(struct mirror *mirror, const struct mirror_entry *from, int64_t offset,
		     const struct mirror_entry *to)
{
	autofree char *source = mirror_content_path(mirror, from->generation),
		      *target = mirror_content_path(mirror, to->generation);
	autoclose int in = open(source, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	autoclose int out = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (in < 0 || out < 0)
		return -errno;
	off64_t at = offset;
	ssize_t done;
	while ((done = copy_file_range(in, &at, out, NULL, 1 << 30, 0)) > 0)
		;
	/* What is kept must be there before it is cut off. */
	return done < 0 || fsync(out) < 0 || ftruncate(in, offset) < 0 ? -errno : 0;
}

/* A name that nothing has. */
static int name_lost(struct mirror *mirror, const struct mirror_entry *entry, struct mirror_entry *lost)
{
	*lost = *entry;
	lost->generation = MIRROR_LOST_FIRST + json_object_array_length(mirror->lost);
	for (int i = 1;; i++) {
		int length = snprintf(lost->path, sizeof(lost->path), "%s.lost-%d", entry->path, i);
		if (length < 0 || (size_t)length >= sizeof(lost->path))
			return -ENAMETOOLONG;
		if (!mirror_names_find(&mirror->names, lost->path))
			return 0;
	}
}

int mirror_cut(struct mirror *mirror, json_object *logs,
	       void (*tell)(void *context, const char *path, int64_t size, const char *kept), void *context,
	       struct error *err)
{
	autojson json_object *names = json_object_new_array(), *cuts = json_object_new_array();
	int status = 0;
	if (!logs)
		return error_set(err, EBADMSG, "nobody knows how long the log files were");
	pthread_mutex_lock(&mirror->lock);
	mirror_close_content_locked(mirror);
	for (size_t i = 0; i < mirror->names.count && status == 0; i++) {
		struct mirror_entry *entry = mirror->names.by_generation[i], lost;
		if (mirror_is_lost((int64_t)entry->generation))
			continue;
		int64_t then = size_then(logs, entry->generation);
		if (entry->type != MIRROR_FILE || then >= 0)
			json_object_array_add(names, describe(entry));
		mirror_fill_size(mirror, entry);
		/* Another name of the file before it: that was cut. */
		if (entry->type != MIRROR_FILE || entry->size <= (then < 0 ? 0 : then))
			continue;
		status = name_lost(mirror, entry, &lost);
		if (status == 0)
			status = copy_rest(mirror, entry, then < 0 ? 0 : then, &lost);
		if (status < 0)
			break;
		json_object_array_add(mirror->lost, describe(&lost));
		json_object *cut = describe(entry);
		json_set_int(cut, "size", then < 0 ? 0 : then);
		json_set_string(cut, "kept", lost.path);
		json_object_array_add(cuts, cut);
	}
	pthread_mutex_unlock(&mirror->lock);
	for (size_t i = 0; i < json_object_array_length(cuts); i++) {
		json_object *cut = json_object_array_get_idx(cuts, i);
		tell(context, json_get_string(cut, "path", ""), json_get_int(cut, "size", 0),
		     json_get_string(cut, "kept", ""));
	}
	if (status < 0)
		return error_sys(err, -status, "what is cut off cannot be kept in %s", mirror->directory);
	return mirror_set_names(mirror, names, err);
}
