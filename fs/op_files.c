/* files: a host is brought up to read an ended job's files on, and given back when nobody reads any more. */
#include <errno.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/files.h"
#include "fs/op_host.h"
#include "fs/op_spec.h"
#include "fs/submit.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/log.h"

enum { OPEN_TIMEOUT_MS = 60000, RELEASE_TIMEOUT_MS = 5000 };

/* Who waits is told the errno; the sentence is in the record. */
static int note_failure(struct job *job, int status)
{
	job_lock(job);
	job->files.failure = -status;
	job_unlock(job);
	return status;
}

static int new_host(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	events_write(job, "Ready to create new host to read files, instance type: %s(%s)", record.op.type,
		     record.op.market);
	return note_failure(job, op_host_create(job, err));
}

static int await_host(struct job *job, struct error *err)
{
	return note_failure(job, op_host_await(job, err));
}

/* Of the image nothing is needed: it may have been removed. */
static int open_volumes(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	autojson json_object *body = json_object_new_object();
	json_object_object_add(body, "spec", op_spec_of_files(&record));
	int status = op_host_attach_volumes(job, err);
	if (status == 0)
		status = agents_call(job->fs, record.op.host, record.op.address, record.id, "open", body,
				     record.epoch, NULL, OPEN_TIMEOUT_MS, NULL, err);
	return note_failure(job, status);
}

/* In order if it answers; the host is destroyed all the same. */
static void undo_open(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	job_lock(job);
	record = job->record;
	bool broken = job->files.broken;
	job->files.broken = false;
	job_unlock(job);
	if (broken)
		return;
	autojson json_object *body = json_object_new_object();
	if (record.op.host[0] && agents_call(job->fs, record.op.host, record.op.address, record.id, "release",
					     body, record.epoch, NULL, RELEASE_TIMEOUT_MS, NULL, &err) < 0)
		log_info("job %s: %s", record.id, err.text);
}

/* After everything was undone, be it for a reason or because nobody reads any more. */
static const char *over(struct job *job)
{
	struct record record;
	job_lock(job);
	record = job->record;
	int failure = job->files.failure;
	job->files.failure = 0;
	job_unlock(job);
	if (failure && failure != ECANCELED) {
		events_write(job, "Files cannot be read: %s", record.op.reason);
		files_refuse(job, failure);
	}
	return job_ended_status(&record);
}

static const struct op_step steps[] = {
	{ .name = "host", .run = new_host, .undo = op_host_undo },
	{ .name = "up", .run = await_host },
	{ .name = "open", .run = open_volumes, .undo = undo_open },
	{ .name = "serve", .run = files_serve },
};

const struct op_table op_files = {
	.name = "files",
	.steps = steps,
	.count = array_length(steps),
	.aside = true,
	.finish = over,
	.fail = over,
};

/* The smallest there is: it only reads. */
int op_files_begin(struct job *job, struct error *err)
{
	struct record_op op = { 0 };
	const struct cloud_type *type = cloud_cheapest_type(job->fs->ops, job->fs->cloud, 1, 1);
	if (!type)
		return error_set(err, ENOSPC, "there is no instance type to read files with");
	struct policy policy;
	int status = submit_read_policy(job, &policy, err);
	if (status < 0)
		return status;
	op_host_plan(&op, type->name, policy.market);
	return op_begin(job, &op_files, &op, NULL, err);
}

const char *op_files_host_status(const struct record_op *op)
{
	if (op->undoing)
		return "leaving";
	return !strcmp(op->step, "serve") ? "running" : "new";
}
