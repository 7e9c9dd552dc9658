/* inotify: watches of files and directories, with their masks and numbers, go on. */
#include <sys/inotify.h>
#include <sys/stat.h>

#include "tests/survive/survive.h"

static const struct inotify_event *next_event(int fd)
{
	static _Alignas(struct inotify_event) char buffer[4096];
	static ssize_t length, at;
	if (at >= length) {
		at = 0;
		length = read(fd, buffer, sizeof(buffer));
		if (length <= 0)
			return NULL;
	}
	const struct inotify_event *event = (const struct inotify_event *)(buffer + at);
	at += (ssize_t)sizeof(*event) + event->len;
	return event;
}

/* The next event is this one. */
#define check_event(fd, number, mask_, name_)                                                                \
	do {                                                                                                 \
		const struct inotify_event *event = next_event(fd);                                          \
		check(event && event->wd == (number) && (event->mask & (mask_)));                            \
		check(!strcmp(event->len ? event->name : "", (name_)));                                      \
	} while (0)

int main(void)
{
	check(mkdir("watched", 0755) == 0);
	int file = open("file", O_RDWR | O_CREAT, 0600), fd = inotify_init1(IN_NONBLOCK);
	int first = inotify_add_watch(fd, "/tmp", IN_MOVED_TO);
	int directory = inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE);
	int modified = inotify_add_watch(fd, "file", IN_MODIFY);
	/* Numbers with a hole. */
	check(fd >= 0 && directory > first && modified > directory && inotify_rm_watch(fd, first) == 0);
	check_event(fd, first, IN_IGNORED, "");
	while (survive_moved()) {
		int made = open("watched/made", O_WRONLY | O_CREAT, 0600);
		check(made >= 0 && close(made) == 0 && write(file, "x", 1) == 1 &&
		      unlink("watched/made") == 0);
		check_event(fd, directory, IN_CREATE, "made");
		check_event(fd, modified, IN_MODIFY, "");
		check_event(fd, directory, IN_DELETE, "made");
		check(!next_event(fd) && errno == EAGAIN);
	}
	survive_ok();
	return 0;
}
