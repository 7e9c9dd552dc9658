#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cloud/local/limits.h"
#include "cloud/local/local.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

struct local_volume *local_find_volume_locked(struct cloud *cloud, const char *id, struct error *err)
{
	for (struct local_volume *volume = cloud->volumes; volume; volume = volume->next)
		if (strcmp(volume->is.id, id) == 0)
			return volume;
	error_set(err, ENOENT, "there is no volume %s", id);
	return NULL;
}

static char *volume_path(const struct cloud *cloud, const char *id, const char *suffix)
{
	return format_string("%s/volumes/%s%s", cloud->state, id, suffix);
}

/* A sparse file. */
static int make_file(const char *path, uint64_t size, struct error *err)
{
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || fsync(fd) < 0)
		return error_sys(err, errno, "cannot make the volume's file %s", path);
	return 0;
}

static int write_record(struct cloud *cloud, const struct cloud_volume *volume, struct error *err)
{
	autojson json_object *record = json_object_new_object();
	json_set_string(record, "id", volume->id);
	json_set_string(record, "token", volume->token);
	json_set_string(record, "job", volume->job);
	json_set_string(record, "role", volume->role);
	json_set_int(record, "size_bytes", (int64_t)volume->size_bytes);
	autofree char *path = volume_path(cloud, volume->id, ".json");
	int status = json_write_file(path, record, 0600);
	return status < 0 ? error_sys(err, -status, "cannot write %s", path) : 0;
}

/* Made whole under the lock: it takes some milliseconds. */
static int create_locked(struct cloud *cloud, const struct cloud_volume_spec *spec, uint64_t size,
			 struct cloud_volume *out, struct error *err)
{
	for (struct local_volume *volume = cloud->volumes; volume; volume = volume->next) {
		if (strcmp(volume->is.token, spec->token) == 0) {
			*out = volume->is;
			return 0;
		}
	}
	autofree struct local_volume *volume = calloc(1, sizeof(*volume));
	if (!volume)
		return error_set(err, ENOMEM, "out of memory");
	volume->loop = -1;
	volume->is.size_bytes = size;
	local_make_id("vol", volume->is.id);
	snprintf(volume->is.token, sizeof(volume->is.token), "%s", spec->token);
	snprintf(volume->is.job, sizeof(volume->is.job), "%s", spec->job ? spec->job : "");
	snprintf(volume->is.role, sizeof(volume->is.role), "%s", spec->role ? spec->role : "");
	autofree char *path = volume_path(cloud, volume->is.id, ".img");
	/*
	 * The file first: one without a record is removed at the next start, and nobody was told of it. So a
	 * record always has its file, and a lost file is never taken for a blank volume.
	 */
	int status = make_file(path, size, err);
	if (status == 0)
		status = write_record(cloud, &volume->is, err);
	if (status < 0) {
		unlink(path);
		return status;
	}
	*out = volume->is;
	volume->next = cloud->volumes;
	cloud->volumes = take_pointer(volume);
	return 0;
}

int local_volume_create(struct cloud *cloud, const struct cloud_volume_spec *spec,
			struct cloud_volume *volume, struct error *err)
{
	uint64_t size = limits_of_volume(spec->size_bytes);
	if (!spec->token[0] || strlen(spec->token) >= CLOUD_TOKEN_SIZE)
		return error_set(err, EINVAL, "a volume needs a token");
	if (size == 0)
		return error_set(err, EINVAL, "a volume of %llu bytes cannot be made; take 1 byte to 16 TiB",
				 (unsigned long long)spec->size_bytes);
	if (spec->zone && strcmp(spec->zone, LOCAL_ZONE) != 0)
		return error_set(err, EINVAL, "there is no zone %s; the zone here is " LOCAL_ZONE,
				 spec->zone);
	pthread_mutex_lock(&cloud->lock);
	int status = create_locked(cloud, spec, size, volume, err);
	pthread_mutex_unlock(&cloud->lock);
	return status;
}

int local_volume_list(struct cloud *cloud, struct cloud_volume **volumes, size_t *count, struct error *err)
{
	pthread_mutex_lock(&cloud->lock);
	size_t total = 0, used = 0;
	for (struct local_volume *volume = cloud->volumes; volume; volume = volume->next)
		total++;
	struct cloud_volume *list = calloc(total + 1, sizeof(*list));
	for (struct local_volume *volume = cloud->volumes; list && volume; volume = volume->next)
		list[used++] = volume->is;
	pthread_mutex_unlock(&cloud->lock);
	if (!list)
		return error_set(err, ENOMEM, "out of memory");
	*volumes = list;
	*count = used;
	return 0;
}

static bool is_attached_locked(struct cloud *cloud, const char *id)
{
	for (struct local_host *host = cloud->hosts; host; host = host->next)
		for (size_t i = 0; i < host->device_count; i++)
			if (strcmp(host->devices[i].serial, id) == 0)
				return true;
	return false;
}

static int destroy_locked(struct cloud *cloud, const char *id, struct error *err)
{
	struct local_volume **at = &cloud->volumes;
	while (*at && strcmp((*at)->is.id, id) != 0)
		at = &(*at)->next;
	if (!*at)
		return 0;
	struct local_volume *volume = *at;
	if (is_attached_locked(cloud, id) || volume->loop >= 0)
		return error_set(err, EBUSY, "volume %s is in use; detach it first", id);
	/* In the other order than it was made: a file without a record is removed at the next start. */
	static const char *const suffixes[] = { ".json", ".img" };
	for (size_t i = 0; i < array_length(suffixes); i++) {
		autofree char *path = volume_path(cloud, id, suffixes[i]);
		if (unlink(path) < 0 && errno != ENOENT)
			return error_sys(err, errno, "cannot remove %s", path);
	}
	*at = volume->next;
	free(volume);
	return 0;
}

int local_volume_destroy(struct cloud *cloud, const char *id, struct error *err)
{
	/* Its loop device may still be bound because something held it at the detach. */
	pthread_mutex_lock(&cloud->lock);
	struct local_volume *volume = local_find_volume_locked(cloud, id, NULL);
	int loop = volume ? volume->loop : -1;
	pthread_mutex_unlock(&cloud->lock);
	if (loop >= 0)
		local_release_loop(cloud, loop);

	pthread_mutex_lock(&cloud->lock);
	int status = destroy_locked(cloud, id, err);
	pthread_mutex_unlock(&cloud->lock);
	return status;
}

static int find_volume(struct cloud *cloud, const char *id, struct error *err)
{
	autofree char *path = volume_path(cloud, id, ".json");
	autojson json_object *record = NULL;
	int status = json_read_file(path, &record, err);
	if (status == -ENOENT) {
		autofree char *file = volume_path(cloud, id, ".img");
		log_info("%s has no record: it is removed", file);
		return unlink(file) < 0 ? error_sys(err, errno, "cannot remove %s", file) : 0;
	}
	if (status < 0)
		return status;
	struct local_volume *volume = calloc(1, sizeof(*volume));
	if (!volume)
		return error_set(err, ENOMEM, "out of memory");
	volume->loop = -1;
	volume->is.size_bytes = (uint64_t)json_get_int(record, "size_bytes", 0);
	snprintf(volume->is.id, sizeof(volume->is.id), "%s", id);
	snprintf(volume->is.token, sizeof(volume->is.token), "%s", json_get_string(record, "token", ""));
	snprintf(volume->is.job, sizeof(volume->is.job), "%s", json_get_string(record, "job", ""));
	snprintf(volume->is.role, sizeof(volume->is.role), "%s", json_get_string(record, "role", ""));
	volume->next = cloud->volumes;
	cloud->volumes = volume;
	return 0;
}

int local_find_volumes(struct cloud *cloud, struct error *err)
{
	autofree char *path = format_string("%s/volumes", cloud->state);
	autoclosedir DIR *directory = opendir(path);
	if (!directory)
		return error_sys(err, errno, "cannot read %s", path);
	struct dirent *entry;
	while ((entry = readdir(directory))) {
		char id[CLOUD_ID_SIZE];
		int end = 0;
		if (sscanf(entry->d_name, "%63[vol0-9a-f-].img%n", id, &end) != 1 || !end ||
		    entry->d_name[end])
			continue;
		int status = find_volume(cloud, id, err);
		if (status < 0)
			return status;
	}
	return 0;
}
