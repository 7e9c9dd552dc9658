#include "fs/secrets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/spec.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/utf8.h"

#define BEGINS "{secret:"

struct secrets {
	size_t count, room;
	struct secret *list; /* guarded by fs->lock */
};

static char *value_path(struct floatfs *fs, const struct secret *secret)
{
	return format_string("%s/secrets/%llu.%s", fs->options.state, (unsigned long long)secret->serial,
			     secret->name);
}

static void add_locked(struct secrets *secrets, const struct secret *secret)
{
	if (secrets->count == secrets->room) {
		secrets->room = secrets->room ? secrets->room * 2 : 16;
		secrets->list = reallocarray(secrets->list, secrets->room, sizeof(*secret));
		if (!secrets->list)
			abort();
	}
	secrets->list[secrets->count++] = *secret;
}

static void load(struct floatfs *fs, int directory, const char *file)
{
	struct secret secret = { 0 };
	struct stat st;
	char *end;
	secret.serial = strtoull(file, &end, 10);
	if (secret.serial == 0 || *end != '.' || !spec_name_ok(end + 1) ||
	    fstatat(directory, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	record_set(secret.name, end + 1);
	secret.uid = st.st_uid;
	secret.gid = st.st_gid;
	add_locked(fs->secrets, &secret);
	if (secret.serial > fs->last_serial)
		fs->last_serial = secret.serial;
}

int secrets_open(struct floatfs *fs, struct error *err)
{
	autofree char *path = format_string("%s/secrets", fs->options.state);
	int status = file_make_directories(path, 0700);
	autoclosedir DIR *directory = status == 0 ? opendir(path) : NULL;
	if (!directory)
		return error_sys(err, status < 0 ? -status : errno, "cannot open %s", path);
	fs->secrets = calloc(1, sizeof(*fs->secrets));
	if (!fs->secrets)
		abort();
	for (struct dirent *entry; (entry = readdir(directory));)
		load(fs, dirfd(directory), entry->d_name);
	return 0;
}

void secrets_close(struct secrets *secrets)
{
	if (secrets)
		free(secrets->list);
	free(secrets);
}

static struct secret *find_locked(struct secrets *secrets, const char *name, uint64_t serial)
{
	for (size_t i = 0; i < secrets->count; i++) {
		struct secret *secret = &secrets->list[i];
		if (name ? !strcmp(secret->name, name) : secret->serial == serial)
			return secret;
	}
	return NULL;
}

static int find(struct floatfs *fs, const char *name, uint64_t serial, struct secret *secret)
{
	pthread_mutex_lock(&fs->lock);
	struct secret *found = find_locked(fs->secrets, name, serial);
	if (found)
		*secret = *found;
	pthread_mutex_unlock(&fs->lock);
	if (!found)
		return -ENOENT;
	struct stat st;
	autofree char *path = value_path(fs, secret);
	if (stat(path, &st) == 0)
		secret->mtime_ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
	return 0;
}

int secrets_find(struct floatfs *fs, const char *name, struct secret *secret)
{
	return find(fs, name, 0, secret);
}

int secrets_find_serial(struct floatfs *fs, uint64_t serial, struct secret *secret)
{
	return find(fs, NULL, serial, secret);
}

int secrets_get(struct floatfs *fs, size_t n, struct secret *secret)
{
	pthread_mutex_lock(&fs->lock);
	bool there = n < fs->secrets->count;
	if (there)
		*secret = fs->secrets->list[n];
	pthread_mutex_unlock(&fs->lock);
	return there ? 0 : -ENOENT;
}

int secrets_create(struct floatfs *fs, const char *name, const struct caller *caller, struct error *err)
{
	struct secret secret = { .uid = caller->uid, .gid = caller->gid };
	if (!spec_name_ok(name))
		return error_set(
		    err, EINVAL,
		    "a secret's name has letters, digits, . _ and -, at most 64, a letter or digit first");
	record_set(secret.name, name);
	secret.serial = fs_new_serial(fs, err);
	if (!secret.serial)
		return -err->code;
	autofree char *path = value_path(fs, &secret);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fchown(fd, secret.uid, secret.gid) < 0)
		return error_sys(err, errno, "cannot make %s", path);
	pthread_mutex_lock(&fs->lock);
	bool there = find_locked(fs->secrets, name, 0);
	if (!there)
		add_locked(fs->secrets, &secret);
	pthread_mutex_unlock(&fs->lock);
	if (!there)
		return 0;
	unlink(path);
	return error_set(err, EEXIST, "there is a secret %s already", name);
}

int secrets_remove(struct floatfs *fs, const char *name, struct error *err)
{
	struct secret secret;
	pthread_mutex_lock(&fs->lock);
	struct secret *found = find_locked(fs->secrets, name, 0);
	if (found) {
		secret = *found;
		*found = fs->secrets->list[--fs->secrets->count];
	}
	pthread_mutex_unlock(&fs->lock);
	if (!found)
		return error_set(err, ENOENT, "there is no secret %s", name);
	autofree char *path = value_path(fs, &secret);
	return unlink(path) == 0 || errno == ENOENT ? 0 : error_sys(err, errno, "cannot remove %s", path);
}

int secrets_open_value(struct floatfs *fs, uint64_t serial, int flags)
{
	struct secret secret;
	if (secrets_find_serial(fs, serial, &secret) < 0)
		return -ENOENT;
	autofree char *path = value_path(fs, &secret);
	int fd = open(path, O_WRONLY | (flags & (O_TRUNC | O_APPEND)) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Without the newline that echo puts at its end. */
static int read_value(struct floatfs *fs, const char *name, uid_t uid, char **value, struct error *err)
{
	struct secret secret;
	size_t length;
	if (secrets_find(fs, name, &secret) < 0 || secret.uid != uid)
		return error_set(err, EINVAL,
				 "env names a secret %.64s, which is none of yours (see secrets)", name);
	autofree char *path = value_path(fs, &secret);
	int status = file_read(path, SECRET_LIMIT, value, &length);
	if (status < 0)
		return error_sys(err, -status, "the secret %s cannot be read", name);
	if (strlen(*value) != length || !utf8_valid(*value)) {
		free(take_pointer(*value));
		return error_set(err, EINVAL, "the secret %s holds bytes that are no text: write UTF-8",
				 name);
	}
	if (length > 0 && (*value)[length - 1] == '\n')
		(*value)[length - 1] = '\0';
	return 0;
}

int secrets_expand(struct floatfs *fs, const char *line, uid_t uid, char **expanded, struct error *err)
{
	autofree char *text = NULL;
	size_t size;
	autofclose FILE *out = open_memstream(&text, &size);
	if (!out)
		return error_set(err, ENOMEM, "out of memory");
	for (const char *at; (at = strstr(line, BEGINS));) {
		const char *end = strchr(at, '}');
		if (!end)
			break;
		autofree char *name = strndup(at + strlen(BEGINS), (size_t)(end - at) - strlen(BEGINS)),
			      *value = NULL;
		int status = read_value(fs, name, uid, &value, err);
		if (status < 0)
			return status;
		fprintf(out, "%.*s%s", (int)(at - line), line, value);
		line = end + 1;
	}
	fputs(line, out);
	if (fclose(take_pointer(out)) != 0)
		return error_set(err, ENOMEM, "out of memory");
	if (expanded)
		*expanded = take_pointer(text);
	return 0;
}
