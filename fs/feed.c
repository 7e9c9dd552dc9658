#include "fs/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/notify.h"
#include "fs/users.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

static char *feed_path(struct floatfs *fs, uid_t uid)
{
	return uid == 0 ? format_string("%s/events/all", fs->options.state)
			: format_string("%s/events/%u", fs->options.state, uid);
}

int feed_open(struct floatfs *fs, struct error *err)
{
	autofree char *directory = format_string("%s/events", fs->options.state);
	int status = file_make_directories(directory, 0700);
	return status < 0 ? error_sys(err, -status, "cannot make %s", directory) : 0;
}

static char *format_line(struct job *job, int64_t when_ns, const char *text)
{
	char stamp[CLOCK_TEXT_SIZE];
	struct record record;
	job_snapshot(job, &record);
	clock_format(when_ns, 9, stamp);
	autojson json_object *line = json_object_new_object();
	json_set_string(line, "time", stamp);
	json_set_string(line, "job", record.id);
	json_set_string(line, "user", record.user);
	json_set_string(line, "status", record.status);
	json_set_string(line, "event", text);
	return format_string("%s\n", json_object_to_json_string_ext(
					 line, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void append(struct floatfs *fs, uid_t uid, const char *line)
{
	autofree char *path = feed_path(fs, uid);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int status = fd < 0 ? -errno : file_write_all(fd, line, strlen(line));
	if (status < 0)
		log_error("an event is lost, %s cannot be written: %s", path, strerror(-status));
	pthread_mutex_lock(&fs->lock);
	users_get_locked(fs, uid)->feed_change++;
	pthread_mutex_unlock(&fs->lock);
	notify_changed(fs->notify, &(struct node){ .kind = TREE_FEED, .generation = uid });
}

void feed_append(struct job *job, int64_t when_ns, const char *text)
{
	uid_t uid = (uid_t)job->record.uid; /* never changes */
	autofree char *line = format_line(job, when_ns, text);
	append(job->fs, 0, line);
	if (uid != 0)
		append(job->fs, uid, line);
}

int feed_open_file(struct floatfs *fs, uid_t uid)
{
	autofree char *path = feed_path(fs, uid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
