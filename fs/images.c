#include "fs/images.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/job.h"
#include "fs/spec.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/proc.h"

enum { IMPORT_TIMEOUT_MS = 3600 * 1000 };

struct images {
	pthread_mutex_t lock; /* guards what follows */
	struct image *list;
	size_t count;
};

struct import {
	char name[65];
	char *source;
	bool directory;
};

static char *image_path(struct floatfs *fs, const char *name, const char *file)
{
	return format_string("%s/images/%s/%s", fs->options.state, name, file);
}

char *images_file(struct floatfs *fs, const char *name)
{
	return image_path(fs, name, "root.squashfs");
}

void images_device_serial(const char *digest, char serial[32])
{
	const char *colon = strchr(digest, ':');
	snprintf(serial, 32, "img-%.16s", colon ? colon + 1 : digest);
}

static struct image *find_locked(struct images *images, const char *name)
{
	for (size_t i = 0; i < images->count; i++)
		if (!strcmp(images->list[i].name, name))
			return &images->list[i];
	return NULL;
}

static int add_locked(struct images *images, const struct image *image)
{
	struct image *larger = realloc(images->list, (images->count + 1) * sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	images->list = larger;
	images->list[images->count++] = *image;
	return 0;
}

static int save_image(struct floatfs *fs, const struct image *image, struct error *err)
{
	autojson json_object *record = json_object_new_object();
	json_set_int(record, "version", 1);
	json_set_int(record, "serial", (int64_t)image->serial);
	json_set_string(record, "digest", image->digest);
	json_set_int(record, "size", image->size);
	json_set_string(record, "status", image->status);
	autofree char *path = image_path(fs, image->name, "record.json");
	int status = json_write_file(path, record, 0644);
	return status < 0 ? error_sys(err, -status, "cannot write %s", path) : 0;
}

static int load_image(struct floatfs *fs, const char *name, struct image *image, struct error *err)
{
	autojson json_object *record = NULL;
	autofree char *path = image_path(fs, name, "record.json");
	int status = json_read_file(path, &record, err);
	if (status < 0)
		return status;
	*image = (struct image){ .serial = (uint64_t)json_get_int(record, "serial", 0),
				 .size = json_get_int(record, "size", 0) };
	snprintf(image->name, sizeof(image->name), "%.64s", name);
	snprintf(image->digest, sizeof(image->digest), "%s", json_get_string(record, "digest", ""));
	snprintf(image->status, sizeof(image->status), "%s", json_get_string(record, "status", "empty"));
	/* An import that floatfs's end cut off. */
	if (!strncmp(image->status, "importing", 9))
		snprintf(image->status, sizeof(image->status),
			 "failed the import was cut off: import it again");
	return image->serial ? 0 : error_set(err, EBADMSG, "%s is not an image's record", path);
}

int images_open(struct floatfs *fs, struct error *err)
{
	struct images *images = fs->images = calloc(1, sizeof(*images));
	if (!images)
		return error_set(err, ENOMEM, "out of memory");
	pthread_mutex_init(&images->lock, NULL);
	autofree char *path = format_string("%s/images", fs->options.state);
	int status = file_make_directories(path, 0755);
	autoclosedir DIR *directory = status == 0 ? opendir(path) : NULL;
	if (!directory)
		return error_sys(err, status < 0 ? -status : errno, "cannot open %s", path);
	struct dirent *entry;
	while ((entry = readdir(directory))) {
		struct image image;
		if (entry->d_name[0] == '.')
			continue;
		status = load_image(fs, entry->d_name, &image, err);
		if (status == -ENOENT) {
			/* mkdir was cut off before the record stood. */
			autofree char *stray = image_path(fs, entry->d_name, "");
			file_remove_tree(stray);
			continue;
		}
		if (status < 0) {
			log_warning("an image is left out: %s", err->text);
			continue;
		}
		if (image.serial > fs->last_serial)
			fs->last_serial = image.serial;
		if (add_locked(images, &image) < 0)
			return error_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

void images_close(struct images *images)
{
	if (!images)
		return;
	pthread_mutex_destroy(&images->lock);
	free(images->list);
	free(images);
}

static int copy_found(struct images *images, const struct image *found, struct image *image)
{
	if (found)
		*image = *found;
	pthread_mutex_unlock(&images->lock);
	return found ? 0 : -ENOENT;
}

int images_find(struct floatfs *fs, const char *name, struct image *image)
{
	pthread_mutex_lock(&fs->images->lock);
	return copy_found(fs->images, find_locked(fs->images, name), image);
}

int images_find_serial(struct floatfs *fs, uint64_t serial, struct image *image)
{
	struct image *found = NULL;
	pthread_mutex_lock(&fs->images->lock);
	for (size_t i = 0; i < fs->images->count && !found; i++)
		if (fs->images->list[i].serial == serial)
			found = &fs->images->list[i];
	return copy_found(fs->images, found, image);
}

int images_get(struct floatfs *fs, size_t n, struct image *image)
{
	pthread_mutex_lock(&fs->images->lock);
	return copy_found(fs->images, n < fs->images->count ? &fs->images->list[n] : NULL, image);
}

int images_create(struct floatfs *fs, const char *name, struct error *err)
{
	struct image image = { .status = "empty" };
	if (!spec_name_ok(name))
		return error_set(
		    err, EINVAL,
		    "an image's name has letters, digits, . _ and -, at most 64, a letter or digit first");
	if (images_find(fs, name, &image) == 0)
		return error_set(err, EEXIST, "there is an image %s already", name);
	snprintf(image.name, sizeof(image.name), "%s", name);
	image.serial = fs_new_serial(fs, err);
	if (!image.serial)
		return -err->code;
	autofree char *directory = image_path(fs, name, "");
	int status = file_make_directories(directory, 0755);
	if (status < 0)
		return error_sys(err, -status, "cannot make %s", directory);
	status = save_image(fs, &image, err);
	if (status < 0)
		return status;
	pthread_mutex_lock(&fs->images->lock);
	status = find_locked(fs->images, name) ? -EEXIST : add_locked(fs->images, &image);
	pthread_mutex_unlock(&fs->images->lock);
	return status < 0 ? error_sys(err, -status, "cannot add the image %s", name) : 0;
}

/* The id of a live job that runs from it, or "" . */
static void find_user(struct floatfs *fs, const char *name, char id[JOB_ID_SIZE])
{
	id[0] = '\0';
	pthread_mutex_lock(&fs->lock);
	for (size_t i = 0; i < fs->job_count; i++) {
		const struct record *record = &fs->jobs[i]->record;
		if (!strcmp(record->image, name) && !job_is_draft(record) && !job_has_ended(record))
			snprintf(id, JOB_ID_SIZE, "%s", record->id);
	}
	pthread_mutex_unlock(&fs->lock);
}

int images_remove(struct floatfs *fs, const char *name, struct error *err)
{
	char user[JOB_ID_SIZE];
	find_user(fs, name, user);
	if (user[0])
		return error_set(err, EBUSY, "the image %s is in use by job %s", name, user);
	int status = 0;
	pthread_mutex_lock(&fs->images->lock);
	struct image *image = find_locked(fs->images, name);
	if (!image)
		status = error_set(err, ENOENT, "there is no image %s", name);
	else if (!strncmp(image->status, "importing", 9))
		status = error_set(err, EBUSY, "the image %s is being imported", name);
	else
		*image = fs->images->list[--fs->images->count];
	pthread_mutex_unlock(&fs->images->lock);
	if (status < 0)
		return status;
	autofree char *directory = image_path(fs, name, "");
	status = file_remove_tree(directory);
	return status < 0 ? error_sys(err, -status, "cannot remove %s", directory) : 0;
}

static int digest_file(const char *path, char digest[72], int64_t *size, struct error *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	gnutls_hash_hd_t hash;
	autofree char *buffer = malloc(1 << 20);
	if (fd < 0 || !buffer)
		return error_sys(err, errno, "cannot read %s", path);
	if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
		return error_set(err, EIO, "SHA-256 is not to be had from GnuTLS");
	ssize_t got;
	*size = 0;
	while ((got = read(fd, buffer, 1 << 20)) > 0) {
		gnutls_hash(hash, buffer, (size_t)got);
		*size += got;
	}
	unsigned char bytes[32];
	gnutls_hash_deinit(hash, bytes);
	if (got < 0)
		return error_sys(err, errno, "cannot read %s", path);
	size_t used = (size_t)snprintf(digest, 72, "sha256:");
	for (size_t i = 0; i < sizeof(bytes); i++)
		used += (size_t)snprintf(digest + used, 72 - used, "%02x", bytes[i]);
	return 0;
}

/* It ends with us: an import that comes later writes the same file. */
static int end_with_parent(void *context)
{
	(void)context;
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}

static int pack_directory(const char *source, const char *file, struct error *err)
{
	struct proc_options options = { .timeout_ms = IMPORT_TIMEOUT_MS, .setup = end_with_parent };
	/* The kernel's own file systems, should the source be a live root. */
	return proc_run((const char *const[]){ "mksquashfs", source, file, "-noappend", "-comp", "zstd",
					       "-Xcompression-level", "3", "-no-progress", "-quiet",
					       "-wildcards", "-e", "proc/*", "sys/*", "dev/*", NULL },
			&options, err);
}

/* tar2sqfs finds out by itself how the archive is compressed. */
static int pack_tar(const char *source, const char *file, struct error *err)
{
	autoclose int fd = open(source, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, errno, "cannot read %s", source);
	struct proc_options options = { .timeout_ms = IMPORT_TIMEOUT_MS,
					.setup = end_with_parent,
					.stdin_fd = fd };
	return proc_run((const char *const[]){ "tar2sqfs", "--quiet", "--force", "--compressor", "zstd",
					       "--comp-extra", "level=3", file, NULL },
			&options, err);
}

static int import_source(struct floatfs *fs, const struct import *import, struct image *result,
			 struct error *err)
{
	autofree char *file = images_file(fs, import->name);
	autofree char *fresh = format_string("%s.new", file);
	int status = import->directory ? pack_directory(import->source, fresh, err)
				       : pack_tar(import->source, fresh, err);
	if (status == 0)
		status = digest_file(fresh, result->digest, &result->size, err);
	if (status == 0) {
		autoclose int fd = open(fresh, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fsync(fd) < 0 || rename(fresh, file) < 0)
			status = error_sys(err, errno, "cannot keep %s", file);
	}
	if (status < 0)
		unlink(fresh);
	return status;
}

/* After an import, whatever came of it. */
static void put_back(struct floatfs *fs, const struct image *image)
{
	struct error err = { 0 };
	if (save_image(fs, image, &err) < 0)
		log_error("image %s: %s", image->name, err.text);
	pthread_mutex_lock(&fs->images->lock);
	struct image *place = find_locked(fs->images, image->name);
	if (place)
		*place = *image;
	pthread_mutex_unlock(&fs->images->lock);
}

static void import_run(struct floatfs *fs, void *context)
{
	struct import *import = context;
	struct image result;
	struct error err = { 0 };
	if (images_find(fs, import->name, &result) == 0) {
		if (import_source(fs, import, &result, &err) < 0) {
			snprintf(result.status, sizeof(result.status), "failed %.300s", err.text);
			result.digest[0] = '\0';
		} else {
			snprintf(result.status, sizeof(result.status), "ready");
		}
		put_back(fs, &result);
	}
	free(import->source);
	free(import);
}

int images_import(struct floatfs *fs, const char *name, const char *source, struct error *err)
{
	struct stat st;
	if (source[0] != '/')
		return error_set(
		    err, EINVAL,
		    "import takes an absolute path: a directory or a tar archive of a root file system");
	if (stat(source, &st) < 0)
		return error_sys(err, errno, "cannot import %s", source);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "cannot import %s: it is neither a directory nor a tar archive",
				 source);
	char user[JOB_ID_SIZE];
	find_user(fs, name, user);
	if (user[0])
		return error_set(err, EBUSY, "the image %s is in use by job %s: import under another name",
				 name, user);
	int status = 0;
	struct image before, copy;
	pthread_mutex_lock(&fs->images->lock);
	struct image *image = find_locked(fs->images, name);
	if (!image)
		status = error_set(err, ENOENT, "there is no image %s", name);
	else if (!strncmp(image->status, "importing", 9))
		status = error_set(err, EBUSY, "the image %s is being imported", name);
	else {
		before = *image;
		snprintf(image->status, sizeof(image->status), "importing");
		copy = *image;
	}
	pthread_mutex_unlock(&fs->images->lock);
	if (status < 0)
		return status;
	struct import *import = calloc(1, sizeof(*import));
	if (!import)
		abort();
	snprintf(import->name, sizeof(import->name), "%s", name);
	import->source = strdup(source);
	import->directory = S_ISDIR(st.st_mode);
	status = save_image(fs, &copy, err);
	if (status == 0)
		status = fs_spawn(fs, import_run, import, err);
	if (status < 0) {
		free(import->source);
		free(import);
		put_back(fs, &before);
	}
	return status;
}
