#include "fs/settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/job.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/utf8.h"

const char *const settings_names[] = { "name", "image",   "instance", "script", "args",
				       "env",  "volumes", "tags",     "policy", NULL };

bool settings_may_be_written(const struct tree_entry *entry, const struct record *record)
{
	if (entry->kind == TREE_INSTANCE && job_may_be_resumed(record))
		return true;
	return job_is_draft(record) || (entry->live && !job_has_ended(record));
}

char *settings_path(struct job *job, const char *name)
{
	return format_string("%s/settings/%s", job->directory, name);
}

int settings_create(struct job *job, struct error *err)
{
	autofree char *directory = settings_path(job, ".");
	int status = file_make_directories(directory, 0700);
	if (status < 0)
		return error_sys(err, -status, "cannot make %s", directory);
	for (size_t i = 0; settings_names[i]; i++) {
		autofree char *path = settings_path(job, settings_names[i]);
		autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return error_sys(err, errno, "cannot make %s", path);
	}
	return 0;
}

int settings_write_value(struct job *job, const char *name, const char *value, struct error *err)
{
	autofree char *path = settings_path(job, name), *text = format_string("%s\n", value);
	int status = file_write_durable(path, text, strlen(text), 0600);
	return status < 0 ? error_sys(err, -status, "the setting %s cannot be written", name) : 0;
}

static int read_setting(struct job *job, const char *name, char **text, struct error *err)
{
	autofree char *path = settings_path(job, name);
	size_t length;
	int status = file_read(path, SETTING_LIMIT, text, &length);
	if (status < 0)
		return error_sys(err, -status, "the setting %s cannot be read", name);
	if (strlen(*text) != length || !utf8_valid(*text)) {
		free(take_pointer(*text));
		return error_set(err, EINVAL, "the setting %s holds bytes that are no text: write UTF-8",
				 name);
	}
	return 0;
}

static char *trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	size_t length = strlen(text);
	while (length > 0 && isspace((unsigned char)text[length - 1]))
		text[--length] = '\0';
	return text;
}

int settings_read_value(struct job *job, const char *name, char **value, struct error *err)
{
	autofree char *text = NULL;
	int status = read_setting(job, name, &text, err);
	if (status < 0)
		return status;
	char *trimmed = trim(text);
	if (strchr(trimmed, '\n'))
		return error_set(err, EINVAL, "the setting %s has more than one line: write one value", name);
	*value = strdup(trimmed);
	return *value ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int read_lines(struct job *job, const char *name, bool verbatim, char ***lines, size_t *count,
		      struct error *err)
{
	autofree char *text = NULL;
	int status = read_setting(job, name, &text, err);
	if (status < 0)
		return status;
	size_t room = 1;
	for (const char *c = text; *c; c++)
		room += *c == '\n';
	autolines char **list = calloc(room + 1, sizeof(char *));
	if (!list)
		return error_set(err, ENOMEM, "out of memory");
	char *rest = text, *line;
	*count = 0;
	while ((line = strsep(&rest, "\n"))) {
		if (!verbatim)
			line = trim(line);
		/* What follows the last newline is no line, unless something is there. */
		if ((!*line && (!verbatim || !rest)) || (*line == '#' && !verbatim))
			continue;
		if (!(list[*count] = strdup(line)))
			return error_set(err, ENOMEM, "out of memory");
		(*count)++;
	}
	*lines = take_pointer(list);
	return 0;
}

int settings_read_lines(struct job *job, const char *name, char ***lines, size_t *count, struct error *err)
{
	return read_lines(job, name, false, lines, count, err);
}

int settings_read_words(struct job *job, const char *name, char ***lines, size_t *count, struct error *err)
{
	return read_lines(job, name, true, lines, count, err);
}

void settings_free_lines(char **lines)
{
	for (size_t i = 0; lines && lines[i]; i++)
		free(lines[i]);
	free(lines);
}
