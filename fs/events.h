/* job.events: the live, append-only log of what happened to a job, one line an event (DESIGN section 5). */
#pragma once

#include "fs/job.h"

/* `2023-01-24T20:33:24.997727759Z: text`, now. Any thread, without fs->lock. */
void events_write(struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for something that happened at that time, on a host say: it keeps its own time. 0: now. */
void events_write_at(struct job *job, int64_t when_ns, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* 1.297557077s, as Go prints a duration. */
void events_format_duration(int64_t ns, char *text, size_t size);
