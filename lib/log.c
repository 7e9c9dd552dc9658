#include "lib/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = { "error", "warning", "info", "debug" };

static struct {
	const char *program;
	enum log_level highest;
} log_state = { "float", LOG_INFO };

void log_open(const char *program, enum log_level highest)
{
	log_state.program = program;
	log_state.highest = highest;
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
	/* A message is one line, whatever a sentence in it holds. */
	for (size_t i = 0; i < used; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[used++] = '\n';
	/* Nowhere is left to say that the log cannot be written. */
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}
