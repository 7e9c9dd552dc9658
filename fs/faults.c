/* The fault switch of op.h. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/op.h"
#include "lib/cleanup.h"
#include "lib/file.h"

struct faults {
	pthread_mutex_t lock;
	char **steps; /* OPERATION.STEP; NULL once it was taken */
	size_t count;
};

/* Rows of the agents' own tables of the frozen sections. */
static const struct {
	const char *operation, *step;
} agent_steps[] = {
	{ "migrate", "dump" },        { "migrate", "release" },    { "migrate", "restore" },
	{ "suspend", "dump" },        { "suspend", "release" },    { "resume", "back" },
	{ "resume", "mount" },        { "resume", "restore" },     { "recover", "back" },
	{ "recover", "mount" },       { "recover", "restore" },    { "checkpoint", "dump" },
	{ "checkpoint", "snapshot" }, { "checkpoint", "restore" }, { "undo", "restore" },
};

static bool is_named(const char *name, const char *operation, const char *step)
{
	size_t length = strlen(operation);
	return !strncmp(name, operation, length) && name[length] == '.' && !strcmp(name + length + 1, step);
}

static bool step_exists(const char *name)
{
	for (size_t i = 0; i < array_length(agent_steps); i++)
		if (is_named(name, agent_steps[i].operation, agent_steps[i].step))
			return true;
	for (size_t i = 0; op_tables[i]; i++)
		for (size_t j = 0; j < op_tables[i]->count; j++)
			if (is_named(name, op_tables[i]->name, op_tables[i]->steps[j].name))
				return true;
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
	bool due = false;
	pthread_mutex_lock(&faults->lock);
	for (size_t i = 0; i < faults->count && !due; i++) {
		if (faults->steps[i] && is_named(faults->steps[i], operation, step)) {
			free(faults->steps[i]);
			faults->steps[i] = NULL;
			due = true;
		}
	}
	pthread_mutex_unlock(&faults->lock);
	return due;
}

json_object *faults_take_agents(struct faults *faults, const char *operation)
{
	json_object *due = json_object_new_array();
	for (size_t i = 0; i < array_length(agent_steps); i++) {
		if (strcmp(agent_steps[i].operation, operation) ||
		    !faults_take(faults, operation, agent_steps[i].step))
			continue;
		autofree char *fault = format_string("%s:error", agent_steps[i].step);
		json_object_array_add(due, json_object_new_string(fault));
	}
	return due;
}
