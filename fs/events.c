#include "fs/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/feed.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/utf8.h"

static void write_line(struct job *job, int64_t when_ns, const char *format, va_list args)
{
	char line[1200], stamp[CLOCK_TEXT_SIZE];
	when_ns = when_ns ? when_ns : clock_now_ns();
	clock_format(when_ns, 9, stamp);
	size_t used = (size_t)snprintf(line, sizeof(line), "%s: ", stamp);
	int wanted = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	size_t length = used + (wanted > 0 ? (size_t)wanted : 0);
	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	/* An event is one line, whatever a sentence in it holds. */
	for (size_t i = 0; i < length; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[length] = '\0';
	utf8_repair(line);
	feed_append(job, when_ns, line + used);
	line[length++] = '\n';

	autofree char *path = job_path(job, "job.events");
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int status = fd < 0 ? -errno : file_write_all(fd, line, length);
	if (status < 0)
		log_error("an event of job %s is lost, %s cannot be written: %s", job->record.id, path,
			  strerror(-status));
	job_changed(job, CHANGE_EVENTS);
}

void events_write(struct job *job, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	write_line(job, clock_now_ns(), format, args);
	va_end(args);
}

void events_write_at(struct job *job, int64_t when_ns, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	write_line(job, when_ns, format, args);
	va_end(args);
}

void events_format_duration(int64_t ns, char *text, size_t size)
{
	snprintf(text, size, "%lld.%09llds", (long long)(ns / 1000000000), (long long)(ns % 1000000000));
}
