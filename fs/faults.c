#include "fs/faults.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/events.h"
#include "fs/op.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/stand.h"

/* Each strikes before its step is taken. */
enum fault_kind {
	FAULT_ERROR,
	FAULT_KILL,
	FAULT_STOP,
	FAULT_HOST,
	FAULT_TARGET,
	FAULT_SILENT,
	FAULT_KEEPER,
	FAULT_CRIU_KILL,
	FAULT_CRIU_STOP,
	FAULT_HALF,
	FAULT_GARBAGE,
	FAULT_TWICE
};

/* Not a step: what the agent of the new host says of it to the old one's. */
#define ADOPT_ANSWER "adopt" FAULTS_ANSWER

static bool is_answer(const char *step)
{
	return !strcmp(step, ADOPT_ANSWER);
}

static bool is_step(const char *step)
{
	return !is_answer(step);
}

static bool brings_up(const char *step)
{
	return !strcmp(step, "up");
}

static bool runs_criu(const char *step)
{
	return !strcmp(step, "dump") || !strcmp(step, "restore");
}

static bool asks_agent(const char *step)
{
	static const char *const asking[] = { "prepare", "launch", "freeze",  "adopt",
					      "drop",    "stop",   "release", "open" };
	for (size_t i = 0; i < array_length(asking); i++)
		if (!strcmp(step, asking[i]))
			return true;
	return false;
}

/* Where on each side of the wire there is one; NULL: nowhere. */
static const struct {
	const char *name;
	bool (*floatfs)(const char *step);
	bool (*agent)(const char *step);
} kinds[] = {
	[FAULT_ERROR] = { "error", is_step, is_step },  /* the step fails */
	[FAULT_KILL] = { "kill", is_step, is_step },    /* who takes the step is killed */
	[FAULT_STOP] = { "stop", is_step, is_step },    /* or stands for a while */
	[FAULT_HOST] = { "host", is_step, is_step },    /* the job's host is lost; the agent's own */
	[FAULT_TARGET] = { "target", is_step, NULL },   /* the new host is lost */
	[FAULT_SILENT] = { "silent", brings_up, NULL }, /* the new host never comes up */
	[FAULT_KEEPER] = { "keeper", NULL, is_step },   /* what keeps the job on its host is killed */
	/* The criu of the step is killed some time after its start, or stands for a while. */
	[FAULT_CRIU_KILL] = { "criukill", NULL, runs_criu },
	[FAULT_CRIU_STOP] = { "criustop", NULL, runs_criu },
	/* What the agent answers is cut off, or is something else; or it is asked twice. */
	[FAULT_HALF] = { "half", asks_agent, is_answer },
	[FAULT_GARBAGE] = { "garbage", asks_agent, is_answer },
	[FAULT_TWICE] = { FAULTS_TWICE, asks_agent, NULL },
};

/* Rows of the agents' own tables of the frozen sections. */
static const struct {
	const char *operation, *step;
} agent_steps[] = {
	{ "migrate", "sync" },        { "migrate", "process" },    { "migrate", "warm" },
	{ "migrate", "dump" },        { "migrate", "logs" },       { "migrate", "release" },
	{ "migrate", "hand" },        { "migrate", "devices" },    { "migrate", "mount" },
	{ "migrate", "restore" },     { "migrate", "settle" },     { "migrate", ADOPT_ANSWER },
	{ "suspend", "sync" },        { "suspend", "process" },    { "suspend", "dump" },
	{ "suspend", "logs" },        { "suspend", "release" },    { "resume", "devices" },
	{ "resume", "back" },         { "resume", "mount" },       { "resume", "restore" },
	{ "resume", "settle" },       { "recover", "devices" },    { "recover", "back" },
	{ "recover", "mount" },       { "recover", "restore" },    { "recover", "settle" },
	{ "checkpoint", "sync" },     { "checkpoint", "process" }, { "checkpoint", "dump" },
	{ "checkpoint", "snapshot" }, { "checkpoint", "restore" }, { "checkpoint", "settle" },
	{ "undo", "devices" },        { "undo", "mount" },         { "undo", "restore" },
	{ "undo", "settle" },
};

/* Each write of a record leaves another state to start from: with what it tells of not yet done, and with all of it done. */
#define IDLE "idle" /* what between operations is named */

static const char *const saves[] = { [FAULTS_BEFORE_SAVE] = "unsaved", [FAULTS_AFTER_SAVE] = "saved" };

struct fault {
	char *step; /* OPERATION.STEP; NULL once it was taken */
	enum fault_kind kind;
	char job[JOB_ID_SIZE]; /* whose agent is to answer so; "" before the step, and when it did */
	int64_t nth; /* of a save: so many more of them are let be, this one included; 0: it is none */
};

struct faults {
	pthread_mutex_t lock;
	struct fault *faults;
	size_t count;
};

static bool is_named(const char *name, const char *operation, const char *step)
{
	size_t length = strlen(operation);
	return !strncmp(name, operation, length) && name[length] == '.' && !strcmp(name + length + 1, step);
}

typedef int fault_call(void *context, const char *step, enum fault_kind kind);

static int call_one(fault_call *call, void *context, const char *operation, const char *name,
		    enum fault_kind kind)
{
	autofree char *step = format_string("%s.%s", operation, name);
	return call(context, step, kind);
}

/* Calls it with each fault that there is; ends with its first answer that is not 0. */
static int each_fault(fault_call *call, void *context)
{
	int status = 0;
	for (size_t kind = 0; kind < array_length(kinds); kind++) {
		for (size_t i = 0; i < array_length(agent_steps) && kinds[kind].agent && status == 0; i++)
			if (kinds[kind].agent(agent_steps[i].step))
				status = call_one(call, context, agent_steps[i].operation,
						  agent_steps[i].step, (enum fault_kind)kind);
		for (size_t i = 0; op_tables[i] && kinds[kind].floatfs; i++)
			for (size_t j = 0; j < op_tables[i]->count && status == 0; j++)
				if (kinds[kind].floatfs(op_tables[i]->steps[j].name))
					status = call_one(call, context, op_tables[i]->name,
							  op_tables[i]->steps[j].name, (enum fault_kind)kind);
	}
	return status;
}

static int print_one(void *context, const char *step, enum fault_kind kind)
{
	(void)context;
	return printf("%s:%s\n", step, kinds[kind].name) < 0 ? -EIO : 0;
}

int faults_print(void)
{
	return each_fault(print_one, NULL);
}

/* ---- the option ---- */

struct wanted {
	const char *step, *kind;
	enum fault_kind found;
};

static int match(void *context, const char *step, enum fault_kind kind)
{
	struct wanted *wanted = context;
	wanted->found = kind;
	return !strcmp(wanted->step, step) && !strcmp(wanted->kind, kinds[kind].name);
}

static bool is_operation(const char *name, size_t length)
{
	bool known = length == strlen(IDLE) && !strncmp(name, IDLE, length);
	for (size_t i = 0; op_tables[i] && !known; i++)
		known = length == strlen(op_tables[i]->name) && !strncmp(name, op_tables[i]->name, length);
	return known;
}

/* OPERATION.savedN and its like: cuts the number off. 0: it is none of those. */
static int64_t take_nth(char *step)
{
	const char *name = strchr(step, '.');
	if (!name || !is_operation(step, (size_t)(name - step)))
		return 0;
	for (size_t i = 0; i < array_length(saves); i++) {
		size_t length = strlen(saves[i]);
		char *number = step + (name + 1 - step) + length, *end;
		if (strncmp(name + 1, saves[i], length) || !isdigit((unsigned char)*number))
			continue;
		int64_t nth = strtoll(number, &end, 10);
		if (nth < 1 || *end)
			return 0;
		*number = '\0';
		return nth;
	}
	return 0;
}

static int add(struct faults *faults, char *text, struct error *err)
{
	struct wanted wanted = { .step = text, .kind = "" };
	int64_t nth = 0;
	char *colon = strchr(text, ':');
	if (colon) {
		*colon = '\0';
		wanted.kind = colon + 1;
	}
	if (!strcmp(wanted.kind, kinds[FAULT_KILL].name))
		nth = take_nth(text);
	if (nth)
		wanted.found = FAULT_KILL;
	else if (each_fault(match, &wanted) == 0)
		return error_set(err, EINVAL, "fault=%s: write STEP:KIND: floatfs --faults lists them", text);
	struct fault *larger = realloc(faults->faults, (faults->count + 1) * sizeof(*larger));
	if (!larger)
		abort();
	faults->faults = larger;
	faults->faults[faults->count++] = (struct fault){ strdup(text), wanted.found, "", nth };
	return 0;
}

int faults_parse(const char *text, struct faults **out, struct error *err)
{
	struct faults *faults = calloc(1, sizeof(*faults));
	autofree char *copy = strdup(text);
	if (!faults || !copy)
		abort();
	pthread_mutex_init(&faults->lock, NULL);
	char *rest = copy, *fault;
	int status = 0;
	while (status == 0 && (fault = strsep(&rest, "+")))
		status = add(faults, fault, err);
	if (status < 0)
		faults_free(take_pointer(faults));
	*out = faults;
	return status;
}

void faults_free(struct faults *faults)
{
	if (!faults)
		return;
	for (size_t i = 0; i < faults->count; i++)
		free(faults->faults[i].step);
	free(faults->faults);
	pthread_mutex_destroy(&faults->lock);
	free(faults);
}

/* ---- those that are due ---- */

/* A fault is due once; NULL: none is. */
static struct fault *take(struct faults *faults, const char *operation, const char *step)
{
	struct fault *due = NULL;
	if (!faults)
		return NULL;
	pthread_mutex_lock(&faults->lock);
	for (size_t i = 0; i < faults->count && !due; i++) {
		struct fault *fault = &faults->faults[i];
		if (!fault->step || !is_named(fault->step, operation, step) || --fault->nth > 0)
			continue;
		due = fault;
		free(take_pointer(fault->step));
	}
	pthread_mutex_unlock(&faults->lock);
	return due;
}

static void lose_host(struct job *job, const char *host)
{
	struct error err = { 0 };
	if (host[0] && job->fs->ops->host_destroy(job->fs->cloud, host, &err) < 0)
		log_error("host %s cannot be destroyed: %s", host, err.text);
}

/* What it proves to be is not what is asked for. */
static void forget_secret(struct job *job)
{
	job_lock(job);
	record_set(job->record.op.secret, "none");
	job_unlock(job);
}

static void await_answer(struct faults *faults, struct fault *fault, const char *job)
{
	pthread_mutex_lock(&faults->lock);
	record_set(fault->job, job);
	pthread_mutex_unlock(&faults->lock);
}

int faults_strike(struct job *job, const char *operation, const char *step, struct error *err)
{
	struct record record;
	struct fault *fault = take(job->fs->faults, operation, step);
	if (!fault)
		return 0;
	job_snapshot(job, &record);
	switch (fault->kind) {
	case FAULT_ERROR:
		return error_set(err, EIO, "step %s.%s was made to fail by -o fault", operation, step);
	case FAULT_KILL:
		raise(SIGKILL);
		break;
	case FAULT_STOP:
		stand_still();
		break;
	case FAULT_HOST:
		lose_host(job, record.host);
		break;
	case FAULT_TARGET:
		lose_host(job, record.op.host);
		break;
	case FAULT_SILENT:
		forget_secret(job);
		break;
	case FAULT_HALF:
	case FAULT_GARBAGE:
	case FAULT_TWICE:
		await_answer(job->fs->faults, fault, record.id);
		break;
	case FAULT_KEEPER:
	case FAULT_CRIU_KILL:
	case FAULT_CRIU_STOP:
		break;
	}
	return 0;
}

void faults_strike_save(struct faults *faults, const char *operation, enum faults_save when)
{
	if (take(faults, operation[0] ? operation : IDLE, saves[when]))
		raise(SIGKILL);
}

const char *faults_take_answer(struct faults *faults, const char *job)
{
	const char *name = NULL;
	if (!faults)
		return NULL;
	pthread_mutex_lock(&faults->lock);
	for (size_t i = 0; i < faults->count && !name; i++)
		if (!strcmp(faults->faults[i].job, job)) {
			faults->faults[i].job[0] = '\0';
			name = kinds[faults->faults[i].kind].name;
		}
	pthread_mutex_unlock(&faults->lock);
	return name;
}

json_object *faults_take_agents(struct faults *faults, const char *operation)
{
	json_object *due = json_object_new_array();
	for (size_t i = 0; i < array_length(agent_steps); i++) {
		const struct fault *fault = strcmp(agent_steps[i].operation, operation)
						? NULL
						: take(faults, operation, agent_steps[i].step);
		if (!fault)
			continue;
		autofree char *text = format_string("%s:%s", agent_steps[i].step, kinds[fault->kind].name);
		json_object_array_add(due, json_object_new_string(text));
	}
	return due;
}
