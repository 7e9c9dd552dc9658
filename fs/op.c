#include "fs/op.h"

#include <errno.h>
#include <string.h>

#include "fs/events.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"

enum { RETRY_FIRST_MS = 200, RETRY_LAST_MS = 10000 };

static const struct op_table *const tables[] = { &op_start, &op_migrate, &op_cancel, &op_end };

static const struct op_table *find_table(const char *name)
{
	for (size_t i = 0; i < array_length(tables); i++)
		if (!strcmp(tables[i]->name, name))
			return tables[i];
	return NULL;
}

/* Note where the operation is, durably. A disk that takes no record is waited for: a step must never run
 * unrecorded. */
static bool record_position(struct job *job, size_t step, bool undoing)
{
	struct error err = { 0 };
	job_lock(job);
	job->record.op.step = (int64_t)step;
	job->record.op.undoing = undoing;
	job_unlock(job);
	for (int pause = RETRY_FIRST_MS;; pause = pause * 2 < RETRY_LAST_MS ? pause * 2 : RETRY_LAST_MS) {
		if (job_save(job, &err) == 0)
			return true;
		log_error("job %s waits: %s", job->record.id, err.text);
		job_lock(job);
		bool go_on = fs_wait_locked(job->fs, pause);
		job_unlock(job);
		if (!go_on)
			return false;
	}
}

static bool is_stopping(struct job *job)
{
	job_lock(job);
	bool stopping = job->fs->stopping;
	job_unlock(job);
	return stopping;
}

static bool was_cancelled(struct job *job)
{
	job_lock(job);
	bool cancel = job->record.cancel;
	job_unlock(job);
	return cancel;
}

static void note_reason(struct job *job, const struct error *err)
{
	job_lock(job);
	record_set(job->record.op.reason, err->text);
	job_unlock(job);
}

static int take_step(struct job *job, const struct op_table *table, const struct op_step *step,
		     struct error *err)
{
	if (table->cancellable && was_cancelled(job))
		return error_set(err, ECANCELED, "cancelled");
	if (faults_take(job->fs->faults, table->name, step->name))
		return error_set(err, EIO, "step %s.%s was made to fail by -o fault", table->name,
				 step->name);
	return step->run(job, err);
}

/* A final step is tried until it succeeds: what it gives back (hosts, volumes) must not be left over. */
static int take_final_step(struct job *job, const struct op_table *table, const struct op_step *step,
			   struct error *err)
{
	for (int pause = RETRY_FIRST_MS;; pause = pause * 2 < RETRY_LAST_MS ? pause * 2 : RETRY_LAST_MS) {
		int status = take_step(job, table, step, err);
		if (status == 0)
			return 0;
		log_info("job %s: %s.%s is tried again: %s", job->record.id, table->name, step->name,
			 err->text);
		job_lock(job);
		bool go_on = fs_wait_locked(job->fs, pause);
		job_unlock(job);
		if (!go_on)
			return status;
	}
}

static void undo_steps(struct job *job, const struct op_table *table, size_t from)
{
	for (size_t i = from + 1; i-- > 0;) {
		if (!record_position(job, i, true))
			return;
		if (table->steps[i].undo)
			table->steps[i].undo(job);
		if (is_stopping(job))
			return;
	}
	table->fail(job);
}

/* Returns false when the daemon is stopping: the record says where to go on. */
static void run_steps(struct job *job, const struct op_table *table, size_t first, bool resumed)
{
	struct error err = { 0 };
	for (size_t i = first; i < table->count; i++) {
		const struct op_step *step = &table->steps[i];
		if (!record_position(job, i, false) || is_stopping(job))
			return;
		if (resumed && i == first && step->done && step->done(job))
			continue;
		bool final = step->final;
		int status =
		    final ? take_final_step(job, table, step, &err) : take_step(job, table, step, &err);
		if (status < 0 && is_stopping(job) && final)
			return;
		if (status < 0) {
			note_reason(job, &err);
			undo_steps(job, table, i);
			return;
		}
	}
	table->finish(job);
}

/* The operation is over when finish or fail cleared its name. */
static void op_run(struct floatfs *fs, void *context)
{
	struct job *job = context;
	struct record record;
	(void)fs;
	job_snapshot(job, &record);
	const struct op_table *table = find_table(record.op.name);
	bool resumed = record.op.step >= 0;
	size_t step = resumed ? (size_t)record.op.step : 0;
	if (step >= table->count)
		step = table->count - 1;
	if (record.op.undoing)
		undo_steps(job, table, step);
	else
		run_steps(job, table, step, resumed);

	struct error err = { 0 };
	job_lock(job);
	job->operating = false;
	bool stopping = job->fs->stopping;
	if (!stopping)
		job->record.op = (struct record_op){ 0 };
	job_changed_locked(job, CHANGE_STATE);
	pthread_cond_broadcast(&job->fs->wakeup);
	job_unlock(job);
	if (!stopping) {
		if (job_save(job, &err) < 0)
			log_error("job %s: %s", record.id, err.text);
		op_settle(job);
	}
	job_put(job);
}

static int spawn(struct job *job, struct error *err)
{
	int status = fs_spawn(job->fs, op_run, job, err);
	if (status < 0) {
		job_lock(job);
		job->operating = false;
		job_unlock(job);
		job_put(job);
	}
	return status;
}

int op_begin(struct job *job, const struct op_table *table, const struct record_op *op, const char *status,
	     struct error *err)
{
	job_lock(job);
	if (job->operating || job->forgotten) {
		job_unlock(job);
		return error_set(err, EBUSY, "job %s: another operation is under way", job->record.id);
	}
	struct record before = job->record;
	job->operating = true;
	job->record.op = *op;
	record_set(job->record.op.name, table->name);
	job->record.op.step = -1;
	job->record.op.began_ns = clock_now_ns();
	job_set_status_locked(job, status);
	job_get_locked(job);
	job_unlock(job);

	int saved = job_save(job, err);
	if (saved < 0) {
		/* Not recorded: not begun. */
		job_lock(job);
		job->record.op = before.op;
		job->operating = false;
		job_set_status_locked(job, before.status);
		job_unlock(job);
		job_put(job);
		return saved;
	}
	return spawn(job, err);
}

static const char *ending_status(const struct record *record)
{
	return record->cancel ? "Cancelling" : record->status;
}

void op_settle(struct job *job)
{
	struct error err = { 0 };
	struct record record;
	job_lock(job);
	bool busy = job->operating || job->forgotten || job->fs->stopping;
	record = job->record;
	bool resume = !busy && record.op.name[0];
	if (resume) {
		job->operating = true;
		job_get_locked(job);
	}
	job_unlock(job);
	if (busy || job_is_draft(&record) || job_has_ended(&record))
		return;
	int status = 0;
	if (resume)
		status = spawn(job, &err);
	else if (record.exit_known || record.lost)
		status = op_begin(job, &op_end, &(struct record_op){ 0 }, ending_status(&record), &err);
	else if (record.cancel)
		status = op_begin(job, &op_cancel, &(struct record_op){ 0 }, "Cancelling", &err);
	if (status < 0 && status != -EBUSY)
		log_error("job %s: %s", record.id, err.text);
}
