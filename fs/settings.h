/*
 * A draft's settings: ordinary small text files, kept as files in STATE/jobs/SERIAL/settings/. FUSE reads and
 * writes them as such; `start` reads them through the functions here. After start they no longer change, but for those
 * that are live, and `instance` of a job that can be resumed.
 */
#pragma once

#include "fs/tree.h"

enum { SETTING_LIMIT = 1 << 20, SETTING_SCRIPT_LIMIT = 4 << 20 };

/* The settings' names, NULL-terminated. */
extern const char *const settings_names[];

/* The job's directory with its empty settings. */
int settings_create(struct job *job, struct error *err);

/* Whether FUSE may write this setting of a job with that record. */
bool settings_may_be_written(const struct tree_entry *entry, const struct record *record);

char *settings_path(struct job *job, const char *name); /* caller frees */

/* Replace one by a value, durably. */
int settings_write_value(struct job *job, const char *name, const char *value, struct error *err);

/* One value, trimmed of white space at its ends; caller frees. */
int settings_read_value(struct job *job, const char *name, char **value, struct error *err);

/* A list, one entry a line, trimmed, empty lines and # comments left out; NULL-terminated. */
int settings_read_lines(struct job *job, const char *name, char ***lines, size_t *count, struct error *err);
/* The same with each line as it is: an argument may be empty, or begin with #. */
int settings_read_words(struct job *job, const char *name, char ***lines, size_t *count, struct error *err);
void settings_free_lines(char **lines);

static inline void settings_cleanup_lines_(char ***lines)
{
	settings_free_lines(*lines);
}
#define autolines __attribute__((cleanup(settings_cleanup_lines_)))
