#include "fs/op.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/events.h"
#include "fs/faults.h"
#include "fs/files.h"
#include "fs/follow.h"
#include "fs/op_recover.h"
#include "fs/submit.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"

enum { RETRY_FIRST_MS = 200, RETRY_LAST_MS = 10000, PAUSE_FIRST_MS = 500, PAUSE_STEP_MS = 500 };

const struct op_table *const op_tables[] = { &op_start, &op_migrate,    &op_suspend, &op_resume, &op_recover,
					     &op_rerun, &op_checkpoint, &op_cancel,  &op_end,    &op_files,
					     NULL };

static const struct op_table *find_table(const char *name)
{
	for (size_t i = 0; op_tables[i]; i++)
		if (!strcmp(op_tables[i]->name, name))
			return op_tables[i];
	return NULL;
}

static const struct op_step *find_step(const struct op_table *table, const char *name)
{
	/* Records of version 1 have its place, in tables that had no step `up`. */
	char *end;
	size_t place = strtoul(name, &end, 10);
	bool by_place = name[0] && !*end;
	for (size_t i = 0; i < table->count; i++) {
		const char *this = table->steps[i].name;
		if (by_place ? strcmp(this, "up") && !place-- : !strcmp(this, name))
			return &table->steps[i];
	}
	return NULL;
}

void op_pause(struct job *job, int64_t failures)
{
	int64_t until = clock_monotonic_ms() + (failures ? PAUSE_FIRST_MS << failures : 0);
	job_lock(job);
	while (!job->record.cancel && clock_monotonic_ms() < until)
		if (!fs_wait_locked(job->fs, PAUSE_STEP_MS))
			break;
	job_unlock(job);
}

bool op_save(struct job *job)
{
	struct error err = { 0 };
	for (int pause = RETRY_FIRST_MS;; pause = pause * 2 < RETRY_LAST_MS ? pause * 2 : RETRY_LAST_MS) {
		if (job_save(job, &err) == 0)
			return true;
		log_error("job %s waits: %s", job->record.id, err.text);
		if (!fs_wait(job->fs, pause))
			return false;
	}
}

/* Note where the operation is, durably: a step must never run unrecorded. */
static bool record_position(struct job *job, const struct op_step *step, bool undoing)
{
	job_lock(job);
	record_set(job->record.op.step, step->name);
	job->record.op.undoing = undoing;
	job_unlock(job);
	return op_save(job);
}

static bool is_stopping(struct job *job)
{
	job_lock(job);
	bool stopping = job->fs->stopping;
	job_unlock(job);
	return stopping;
}

/* Does somebody want that its step is not taken? */
int op_check_wanted(struct job *job, struct error *err)
{
	job_lock(job);
	const struct op_table *table = find_table(job->record.op.name);
	const struct op_step *step = find_step(table, job->record.op.step);
	bool cancelled = table->cancellable && job->record.cancel && !step->final;
	bool aborted = table->abortable && job->record.op.abort && !step->final;
	job_unlock(job);
	return cancelled || aborted ? error_set(err, ECANCELED, cancelled ? "cancelled" : OP_ABORTED) : 0;
}

/* It stands in `error` too, unless it is what was asked for. */
static void note_reason(struct job *job, const struct error *err)
{
	job_lock(job);
	record_set(job->record.op.reason, err->text);
	if (err->code != ECANCELED)
		record_set(job->error, err->text);
	job_unlock(job);
}

/* begun: by a floatfs that was killed. A frozen step is then taken to its end: only that tells where the job is. */
static int take_step(struct job *job, const struct op_table *table, const struct op_step *step, bool begun,
		     struct error *err)
{
	if (begun && step->frozen)
		return step->run(job, err);
	int status = op_check_wanted(job, err);
	if (status < 0)
		return status;
	status = faults_strike(job, table->name, step->name, err);
	return status < 0 ? status : step->run(job, err);
}

/* A final step is tried until it succeeds: what it gives back (hosts, volumes) must not be left over. */
static int take_final_step(struct job *job, const struct op_table *table, const struct op_step *step,
			   struct error *err)
{
	for (int pause = RETRY_FIRST_MS;; pause = pause * 2 < RETRY_LAST_MS ? pause * 2 : RETRY_LAST_MS) {
		int status = take_step(job, table, step, false, err);
		if (status == 0)
			return 0;
		log_info("job %s: %s.%s is tried again: %s", job->record.id, table->name, step->name,
			 err->text);
		if (!fs_wait(job->fs, pause))
			return status;
	}
}

/* The job's status afterwards; NULL when the daemon is stopping: the record says where to go on. */
static const char *undo_steps(struct job *job, const struct op_table *table, size_t from)
{
	for (size_t i = from + 1; i-- > 0;) {
		const struct op_step *step = &table->steps[i];
		if (!record_position(job, step, true))
			return NULL;
		if (step->undo)
			step->undo(job);
		if (is_stopping(job) && !table->aside)
			return NULL;
	}
	return table->fail(job);
}

/* The same. */
static const char *run_steps(struct job *job, const struct op_table *table, size_t first, bool resumed)
{
	struct error err = { 0 };
	for (size_t i = first; i < table->count; i++) {
		const struct op_step *step = &table->steps[i];
		if (!record_position(job, step, false))
			return NULL;
		if (is_stopping(job))
			return table->aside ? undo_steps(job, table, i) : NULL;
		bool begun = resumed && i == first;
		if (begun && step->done && step->done(job))
			continue;
		int status = step->final ? take_final_step(job, table, step, &err)
					 : take_step(job, table, step, begun, &err);
		/* It may have failed for the stop itself: the next start takes it again. */
		if (status < 0 && is_stopping(job) && !table->aside)
			return NULL;
		if (status < 0) {
			note_reason(job, &err);
			return undo_steps(job, table, i);
		}
	}
	return table->finish(job);
}

static void op_run(struct floatfs *fs, void *context)
{
	struct job *job = context;
	struct record record;
	(void)fs;
	job_snapshot(job, &record);
	const struct op_table *table = find_table(record.op.name);
	const char *status;
	const struct op_step *begun = find_step(table, record.op.step);
	size_t step = begun ? (size_t)(begun - table->steps) : 0;
	if (record.op.undoing)
		status = undo_steps(job, table, step);
	else
		status = run_steps(job, table, step, begun);

	struct error err = { 0 };
	if (status) {
		if (job_end_op(job, status, &err) < 0)
			log_error("job %s: %s", record.id, err.text);
		op_settle(job);
	} else {
		job_lock(job);
		job->operating = false;
		pthread_cond_broadcast(&job->fs->wakeup);
		job_unlock(job);
	}
	job_put(job);
}

int op_begin(struct job *job, const struct op_table *table, const struct record_op *op, const char *status,
	     struct error *err)
{
	job_lock(job);
	if (job->operating || job->forgotten ||
	    (job_has_ended(&job->record) != table->aside && !table->revives)) {
		job_unlock(job);
		return error_set(err, EBUSY, "job %s: another operation is under way", job->record.id);
	}
	struct record before = job->record;
	job->operating = true;
	job->record.op = *op;
	record_set(job->record.op.name, table->name);
	job->record.op.step[0] = '\0';
	job->record.op.began_ns = clock_now_ns();
	if (status)
		job_set_status_locked(job, status);
	job_get_locked(job);
	job_unlock(job);

	int result = job_save(job, err);
	bool saved = result == 0;
	if (saved)
		result = fs_spawn(job->fs, op_run, job, err);
	if (result == 0)
		return 0;
	/* Not recorded, or no thread for it: not begun. */
	job_lock(job);
	job->record.op = before.op;
	job->operating = false;
	if (status)
		job_set_status_locked(job, before.status);
	job_unlock(job);
	if (saved)
		op_save(job);
	job_put(job);
	return result;
}

int op_abort(struct job *job, struct record *record, bool *frozen, struct error *err)
{
	job_lock(job);
	const struct record_op *op = &job->record.op;
	const struct op_table *table = job->operating ? find_table(op->name) : NULL;
	const struct op_step *step = table ? find_step(table, op->step) : NULL;
	bool possible = table && table->abortable && (op->undoing || !step || !step->final);
	*frozen = step && step->frozen && !op->undoing;
	if (possible)
		job->record.op.abort = 1;
	*record = job->record;
	job_unlock(job);
	if (!possible)
		return error_set(err, EOPNOTSUPP,
				 "job %s has no migration under way that could be taken back", record->id);
	return job_save(job, err);
}

void op_go_on(struct job *job)
{
	job_lock(job);
	job->record.op.abort = 0;
	job_unlock(job);
}

static const char *ending_status(const struct record *record)
{
	return record->cancel ? "Cancelling" : record->status;
}

static void settle_again(struct floatfs *fs, void *context)
{
	struct job *job = context;
	bool goes_on = fs_wait(fs, RETRY_LAST_MS);
	job_lock(job);
	job->settles_later = false;
	job_unlock(job);
	if (goes_on)
		op_settle(job);
	job_put(job);
}

static void settle_later(struct job *job)
{
	struct error err = { 0 };
	job_lock(job);
	bool waits = job->settles_later;
	job->settles_later = true;
	if (!waits)
		job_get_locked(job);
	job_unlock(job);
	if (waits || fs_spawn(job->fs, settle_again, job, &err) == 0)
		return;
	job_lock(job);
	job->settles_later = false;
	job_unlock(job);
	log_error("job %s: %s", job->record.id, err.text);
	job_put(job);
}

void op_settle(struct job *job)
{
	struct error err = { 0 };
	struct record record;
	job_lock(job);
	record = job->record;
	bool ended = job_has_ended(&record);
	bool nothing = job->operating || job->forgotten || job->fs->stopping || job_is_draft(&record) ||
		       (ended && !record.op.name[0] && !files_wanted_locked(job));
	const struct op_table *table = find_table(record.op.name);
	bool resume = !nothing && table && (!record.op.step[0] || find_step(table, record.op.step));
	if (resume) {
		if (table->aside)
			job->record.op.undoing = 1;
		job->operating = true;
		job_get_locked(job);
	}
	job_unlock(job);
	if (nothing)
		return;
	/* Only now, after a start: what the job asks is answered by what it shows from here on. */
	if (!record.op.name[0] && !ended && !record.lost && job_is_on_host(&record))
		follow_start(job);
	int status = 0;
	if (resume) {
		status = fs_spawn(job->fs, op_run, job, &err);
		if (status < 0) {
			job_lock(job);
			job->operating = false;
			job_unlock(job);
			job_put(job);
		}
	} else if (record.op.name[0]) {
		status = error_set(&err, EBADMSG, "its record names a step %s.%s that there is not",
				   record.op.name, record.op.step);
	} else if (ended) {
		status = op_files_begin(job, &err);
		if (status < 0 && status != -EBUSY)
			files_refuse(job, -status);
	} else if (record.lost && !record.exit_known && !record.cancel && op_recover_possible(job, &record)) {
		status = op_recover_begin(job, &err);
	} else if (record.exit_known || record.lost) {
		status = op_begin(job, &op_end, &(struct record_op){ 0 }, ending_status(&record), &err);
	} else if (!record.start_ns) {
		status = submit_again(job, &err); /* which a cancel undoes */
	} else if (record.cancel) {
		status = op_begin(job, &op_cancel, &(struct record_op){ 0 }, "Cancelling", &err);
	}
	if (status == 0 || status == -EBUSY)
		return;
	log_error("job %s: %s", record.id, err.text);
	/* No room for its record, no memory for a thread: that passes. */
	if (status != -EINVAL && status != -EBADMSG)
		settle_later(job);
}
