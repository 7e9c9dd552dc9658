#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = { "error", "warning", "info", "debug" };

static struct {
	const char *program;
	enum log_level highest;
	int fd;
} log_state = { "float", LOG_INFO, STDERR_FILENO };

void log_open(const char *program, enum log_level highest)
{
	log_state.program = program;
	log_state.highest = highest;
}

int log_to_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	log_state.fd = fd;
	return 0;
}

void log_write(enum log_level level, const char *format, ...)
{
	if (level > log_state.highest)
		return;

	char line[1024];
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t used = strftime(line, sizeof(line), "%FT%T", &tm);
	used += (size_t)snprintf(line + used, sizeof(line) - used, ".%03ldZ %s: %s: ", now.tv_nsec / 1000000,
				 log_state.program, level_names[level]);
	va_list args;
	va_start(args, format);
	int wanted = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	va_end(args);
	if (wanted > 0)
		used += (size_t)wanted;
	if (used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	line[used++] = '\n';
	/* Nowhere is left to say that the log cannot be written. */
	if (write(log_state.fd, line, used) < 0)
		return;
}
