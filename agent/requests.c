#include "agent/requests.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum { ID_LENGTH = 64, KEPT_SECONDS = 24 * 3600, CLEAN_EVERY = 256 };

struct under_way {
	struct under_way *following;
	char id[ID_LENGTH + 1];
};

struct requests {
	char *directory;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	struct under_way *list;
	unsigned kept;
};

bool requests_valid_id(const char *id)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strlen(id);
	return length >= 1 && length <= ID_LENGTH && id[0] != '.' && strspn(id, allowed) == length;
}

/* Answers so old are not asked for any more. */
static void clean_directory(struct requests *requests)
{
	autoclosedir DIR *directory = opendir(requests->directory);
	struct dirent *entry;
	while (directory && (entry = readdir(directory))) {
		struct stat st;
		if (fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (time(NULL) - st.st_mtime > KEPT_SECONDS)
			unlinkat(dirfd(directory), entry->d_name, 0);
	}
}

struct requests *requests_new(const char *directory, struct error *err)
{
	int status = file_make_directories(directory, 0700);
	if (status < 0) {
		error_sys(err, -status, "cannot make %s", directory);
		return NULL;
	}
	struct requests *requests = calloc(1, sizeof(*requests));
	if (!requests)
		abort();
	requests->directory = format_string("%s", directory);
	pthread_mutex_init(&requests->lock, NULL);
	pthread_cond_init(&requests->ended, NULL);
	clean_directory(requests);
	return requests;
}

void requests_free(struct requests *requests)
{
	pthread_cond_destroy(&requests->ended);
	pthread_mutex_destroy(&requests->lock);
	free(requests->directory);
	free(requests);
}

static struct under_way **find_under_way(struct requests *requests, const char *id)
{
	struct under_way **link = &requests->list;
	while (*link && strcmp((*link)->id, id) != 0)
		link = &(*link)->following;
	return link;
}

static int read_answer(struct requests *requests, const char *id, const char *what, int *status, char **body,
		       struct error *err)
{
	autofree char *path = format_string("%s/%s", requests->directory, id);
	autojson json_object *kept = NULL;
	int result = json_read_file(path, &kept, err);
	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return result;
	if (strcmp(json_get_string(kept, "what", ""), what) != 0)
		return error_set(err, EINVAL, "request id %s was used for %s before", id,
				 json_get_string(kept, "what", "something else"));
	*status = (int)json_get_int(kept, "status", 500);
	*body = format_string("%s", json_get_string(kept, "body", "{}"));
	return 1;
}

int requests_begin(struct requests *requests, const char *id, const char *what, int *status, char **body,
		   struct error *err)
{
	if (!requests_valid_id(id))
		return error_set(err, EINVAL, "a request id is 1 to %d letters, digits and ._-", ID_LENGTH);
	struct under_way *fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		abort();
	snprintf(fresh->id, sizeof(fresh->id), "%s", id);
	pthread_mutex_lock(&requests->lock);
	while (*find_under_way(requests, id))
		pthread_cond_wait(&requests->ended, &requests->lock);
	int result = read_answer(requests, id, what, status, body, err);
	if (result == 0) {
		fresh->following = requests->list;
		requests->list = fresh;
		fresh = NULL;
	}
	pthread_mutex_unlock(&requests->lock);
	free(fresh);
	return result;
}

/* Whole or not at all; it has to outlive the agent, not the machine. */
static int write_answer(const char *path, const char *text)
{
	autofree char *fresh = format_string("%s.new", path);
	autoclose int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int status = fd < 0 ? -errno : file_write_all(fd, text, strlen(text));
	if (status == 0 && rename(fresh, path) < 0)
		status = -errno;
	return status;
}

void requests_end(struct requests *requests, const char *id, const char *what, int status, const char *body)
{
	autojson json_object *kept = json_object_new_object();
	json_set_string(kept, "what", what);
	json_set_int(kept, "status", status);
	json_set_string(kept, "body", body);
	autofree char *path = format_string("%s/%s", requests->directory, id);
	int written = write_answer(path, json_object_to_json_string_ext(kept, JSON_C_TO_STRING_PLAIN));
	if (written < 0)
		log_error("cannot keep the answer to request %s: %s", id, strerror(-written));

	pthread_mutex_lock(&requests->lock);
	struct under_way **link = find_under_way(requests, id), *ended = *link;
	*link = ended->following;
	bool clean = ++requests->kept % CLEAN_EVERY == 0;
	pthread_cond_broadcast(&requests->ended);
	pthread_mutex_unlock(&requests->lock);
	free(ended);
	if (clean)
		clean_directory(requests);
}
