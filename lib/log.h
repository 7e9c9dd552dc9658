/*
 * The log: one line a message, `PROGRAM: LEVEL: text`, to stderr. The only global state.
 * Any thread may call it; lines are written with one write(2) and never mix.
 * Tests fail on a line of level `error` or `warning` that they do not expect: use those for what an
 * administrator must look at, `info` for what is worth knowing, `debug` (off by default) for the rest.
 */
#pragma once

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* program is borrowed for ever. */
void log_open(const char *program, enum log_level highest);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_DEBUG, __VA_ARGS__)
