/* A write to migrate: checked against the job and the type, then begun. */
#include <errno.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/controls.h"
#include "fs/op.h"
#include "fs/op_host.h"
#include "fs/spec.h"
#include "fs/submit.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/reserve.h"

enum {
	AGENT_TIMEOUT_MS = 5000,
	RESTORE_MIB = 32, /* what criu itself takes of the job's while it restores it */
};

/* What the job holds in memory now; what was last known where its agent does not say. */
static int64_t memory_held(struct job *job, const struct record *record)
{
	autojson json_object *state = NULL;
	struct error err = { 0 };
	if (agents_call(job->fs, record->host, record->address, record->id, "", NULL, -1, NULL,
			AGENT_TIMEOUT_MS, &state, &err) < 0) {
		log_info("job %s: %s", record->id, err.text);
		return record->memory_bytes;
	}
	int64_t bytes = json_get_int(state, "memory_bytes", record->memory_bytes);
	job_lock(job);
	job->record.memory_bytes = bytes;
	job_unlock(job);
	return bytes;
}

int controls_check_room(const struct cloud_type *type, int64_t held, struct error *err)
{
	int64_t memory = (int64_t)type->memory_mib << 20;
	int64_t room = memory - reserve_of_memory(memory) - ((int64_t)RESTORE_MIB << 20);
	if (held < room)
		return 0;
	return error_set(
	    err, ENOMEM,
	    "%s has %d MiB of memory, %lld of them for the job, which holds %lld: choose a larger "
	    "type",
	    type->name, type->memory_mib, (long long)(room >> 20), (long long)(held >> 20));
}

/* Under way already, to the same type or to another? 1: to the same; 0: none. */
static int check_under_way(const struct record *record, const struct cloud_type *type, struct error *err)
{
	if (strcmp(record->op.name, op_migrate.name) || record->op.undoing)
		return 0;
	if (!strcmp(record->op.type, type->name))
		return 1;
	return error_set(err, EBUSY, "job %s is on its way to %s: wait until it is there", record->id,
			 record->op.type);
}

/* The job executes still, or nothing is begun. */
static int begin(struct job *job, const struct record_op *op, const char *target, struct error *err)
{
	char before[sizeof(job->record.target)];
	job_lock(job);
	record_set_text(before, sizeof(before), job->record.target);
	if (target)
		record_set(job->record.target, target);
	bool executing = !strcmp(job->record.status, "Executing");
	job_unlock(job);
	int status = executing
			 ? op_begin(job, &op_migrate, op, "Floating", err)
			 : error_set(err, EBUSY, "job %s: another operation is under way", job->record.id);
	if (status == 0)
		return 0;
	job_lock(job);
	record_set(job->record.target, before);
	job_unlock(job);
	return status;
}

int controls_move(struct job *job, const struct cloud_type *type, const char *target, struct error *err)
{
	struct record record;
	struct policy policy;
	job_snapshot(job, &record);
	int status = check_under_way(&record, type, err);
	if (status)
		return status < 0 ? status : 0;
	if (strcmp(record.status, "Executing"))
		return error_set(err, EOPNOTSUPP,
				 "only a job that is executing can be moved: the status of %s is %s",
				 record.id, record.status);
	status = submit_read_policy(job, &policy, err);
	if (status == 0)
		status = controls_check_room(type, memory_held(job, &record), err);
	if (status < 0)
		return status;
	struct record_op op = { 0 };
	op_host_plan(&op, type->name, policy.market);
	status = begin(job, &op, target, err);
	if (status != -EBUSY)
		return status;
	/* Somebody else was first: with the same target that is as good as ours. */
	struct error other = { 0 };
	job_snapshot(job, &record);
	return check_under_way(&record, type, &other) == 1 ? 0 : status;
}

int controls_migrate(struct floatfs *fs, const struct node *node, const struct caller *caller,
		     const char *text, struct error *err)
{
	struct spec_target target;
	const struct cloud_type *type;
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return error_set(err, ENOENT, "the job is gone");
	int status = spec_parse_target(text, &target, err);
	if (status == 0)
		status = spec_resolve_target(&target, fs->ops, fs->cloud, &type, err);
	if (status < 0)
		return status;
	return controls_begin(job, caller) ? controls_end(job, caller, controls_move(job, type, text, err))
					   : 0;
}
