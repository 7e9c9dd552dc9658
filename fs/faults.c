/* The fault switch of op.h. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/op.h"
#include "lib/cleanup.h"

struct faults {
	pthread_mutex_t lock;
	char **steps; /* OPERATION.STEP; NULL once it was taken */
	size_t count;
};

static const struct op_table *const tables[] = { &op_start, &op_migrate, &op_cancel, &op_end, &op_files };
/* Rows of the agents' own table of the frozen section. */
static const char *const agent_steps[] = { "migrate.dump", "migrate.release", "migrate.restore" };

static bool step_exists(const char *step)
{
	for (size_t i = 0; i < array_length(agent_steps); i++)
		if (!strcmp(agent_steps[i], step))
			return true;
	for (size_t i = 0; i < array_length(tables); i++) {
		size_t length = strlen(tables[i]->name);
		if (strncmp(step, tables[i]->name, length) || step[length] != '.')
			continue;
		for (size_t j = 0; j < tables[i]->count; j++)
			if (!strcmp(step + length + 1, tables[i]->steps[j].name))
				return true;
	}
	return false;
}

int faults_parse(const char *text, struct faults **out, struct error *err)
{
	struct faults *faults = calloc(1, sizeof(*faults));
	autofree char *copy = strdup(text);
	if (!faults || !copy)
		abort();
	pthread_mutex_init(&faults->lock, NULL);
	char *rest = copy, *fault;
	while ((fault = strsep(&rest, "+"))) {
		char *kind = strchr(fault, ':');
		if (kind)
			*kind++ = '\0';
		if (!kind || strcmp(kind, "error") || !step_exists(fault)) {
			faults_free(faults);
			return error_set(err, EINVAL,
					 "fault=%s: write STEP:error with a step such as migrate.host",
					 fault);
		}
		char **larger = realloc(faults->steps, (faults->count + 1) * sizeof(char *));
		if (!larger)
			abort();
		faults->steps = larger;
		faults->steps[faults->count++] = strdup(fault);
	}
	*out = faults;
	return 0;
}

void faults_free(struct faults *faults)
{
	if (!faults)
		return;
	for (size_t i = 0; i < faults->count; i++)
		free(faults->steps[i]);
	free(faults->steps);
	pthread_mutex_destroy(&faults->lock);
	free(faults);
}

bool faults_take(struct faults *faults, const char *operation, const char *step)
{
	if (!faults)
		return false;
	char name[64];
	bool due = false;
	snprintf(name, sizeof(name), "%s.%s", operation, step);
	pthread_mutex_lock(&faults->lock);
	for (size_t i = 0; i < faults->count && !due; i++) {
		if (faults->steps[i] && !strcmp(faults->steps[i], name)) {
			free(faults->steps[i]);
			faults->steps[i] = NULL;
			due = true;
		}
	}
	pthread_mutex_unlock(&faults->lock);
	return due;
}
