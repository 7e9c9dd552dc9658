#include "fs/job.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <search.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/faults.h"
#include "fs/files.h"
#include "fs/mirror.h"
#include "fs/notify.h"
#include "fs/settings.h"
#include "fs/spec.h"
#include "fs/users.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"

/* Ends the name of a directory whose job was forgotten, until it is removed. */
#define FORGOTTEN ".forgotten"

static const char *const ended_states[] = { "Completed",      "Cancelled",        "FailToComplete",
					    "FailToExecute",  "CheckpointFailed", "Timedout",
					    "NoAvailableHost" };

bool job_is_draft(const struct record *record)
{
	return !strcmp(record->status, "Draft");
}

const char *job_status_of_end(const char *status)
{
	for (size_t i = 0; i < array_length(ended_states); i++)
		if (!strcmp(status, ended_states[i]))
			return ended_states[i];
	return NULL;
}

const char *job_ended_status(const struct record *record)
{
	return job_status_of_end(record->status);
}

bool job_has_ended(const struct record *record)
{
	return job_ended_status(record) != NULL;
}

bool job_is_on_host(const struct record *record)
{
	return record->host[0] && strcmp(record->status, "Suspended") != 0;
}

bool job_may_be_resumed(const struct record *record)
{
	return strcmp(record->status, "Suspended") == 0 ||
	       (job_has_ended(record) && record->snapshot_count > 0);
}

void job_lock(struct job *job)
{
	pthread_mutex_lock(&job->fs->lock);
}

void job_unlock(struct job *job)
{
	pthread_mutex_unlock(&job->fs->lock);
}

char *job_path(struct job *job, const char *name)
{
	return format_string("%s/%s", job->directory, name);
}

void job_snapshot(struct job *job, struct record *record)
{
	job_lock(job);
	*record = job->record;
	job_unlock(job);
}

/* job->save_lock is held. operation: that it is written for. */
static int save(struct job *job, const struct record *record, const char *operation, struct error *err)
{
	autofree char *path = job_path(job, "record.json");
	faults_strike_save(job->fs->faults, operation, FAULTS_BEFORE_SAVE);
	int status = record_save(path, record, err);
	faults_strike_save(job->fs->faults, operation, FAULTS_AFTER_SAVE);
	return status;
}

int job_save(struct job *job, struct error *err)
{
	struct record record;
	pthread_mutex_lock(&job->save_lock);
	job_lock(job);
	bool forgotten = job->forgotten;
	record = job->record;
	job_unlock(job);
	int status = forgotten ? 0 : save(job, &record, record.op.name, err);
	pthread_mutex_unlock(&job->save_lock);
	return status;
}

int job_end_op(struct job *job, const char *status, struct error *err)
{
	struct record record;
	char operation[sizeof(record.op.name)];
	/* Whoever saves meanwhile waits, and then writes what is shown by now. */
	pthread_mutex_lock(&job->save_lock);
	job_snapshot(job, &record);
	record_set(operation, record.op.name);
	record.op = (struct record_op){ 0 };
	record_set(record.status, status);
	int saved = save(job, &record, operation, err);
	job_lock(job);
	job->operating = false;
	job->record.op = (struct record_op){ 0 };
	job_set_status_locked(job, status);
	pthread_cond_broadcast(&job->fs->wakeup);
	job_unlock(job);
	pthread_mutex_unlock(&job->save_lock);
	return saved;
}

/* Hosts are looked for among the jobs that have one: most have ended. */
static void note_hosted_locked(struct job *job)
{
	struct floatfs *fs = job->fs;
	bool hosted = !job->forgotten && (job->record.host[0] || job->record.op.host[0]);
	if (hosted && !job->hosted) {
		fs->hosted[fs->hosted_count++] = job;
		job->hosted = fs->hosted_count;
	} else if (!hosted && job->hosted) {
		struct job *last = fs->hosted[--fs->hosted_count];
		fs->hosted[job->hosted - 1] = last;
		last->hosted = job->hosted;
		job->hosted = 0;
	}
}

void job_changed_locked(struct job *job, enum change change)
{
	if (change == CHANGE_STATE)
		note_hosted_locked(job);
	job->changes[change]++;
	notify_changed(job->fs->notify, &(struct node){ .kind = TREE_JOB, .serial = job->serial });
}

void job_revive_locked(struct job *job)
{
	struct record *record = &job->record;
	record->exit_known = record->exit_code = record->exit_signal = record->lost = record->end_ns = 0;
	record->failed_recoveries = 0;
	record->exit_note[0] = record->reason[0] = '\0';
}

void job_changed(struct job *job, enum change change)
{
	job_lock(job);
	job_changed_locked(job, change);
	job_unlock(job);
}

void job_set_status_locked(struct job *job, const char *status)
{
	record_set(job->record.status, status);
	users_count_locked(job);
	job_changed_locked(job, CHANGE_STATE);
}

/* Index of the first job whose serial is not below it. */
static size_t job_position(struct floatfs *fs, uint64_t serial)
{
	size_t low = 0, high = fs->job_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (fs->jobs[middle]->serial < serial)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct job *job_get_locked(struct job *job)
{
	job->references++;
	return job;
}

static int compare_ids(const void *one, const void *other)
{
	return strcmp(one, other);
}

static struct job *find_id_locked(struct floatfs *fs, const char *id)
{
	char **found = tfind(id, &fs->jobs_by_id, compare_ids);
	return found ? (struct job *)(*found - offsetof(struct job, record.id)) : NULL;
}

struct job *job_find(struct floatfs *fs, const char *id)
{
	pthread_mutex_lock(&fs->lock);
	struct job *job = find_id_locked(fs, id);
	if (job)
		job_get_locked(job);
	pthread_mutex_unlock(&fs->lock);
	return job;
}

struct job *job_find_serial(struct floatfs *fs, uint64_t serial)
{
	pthread_mutex_lock(&fs->lock);
	size_t at = job_position(fs, serial);
	struct job *job =
	    at < fs->job_count && fs->jobs[at]->serial == serial ? job_get_locked(fs->jobs[at]) : NULL;
	pthread_mutex_unlock(&fs->lock);
	return job;
}

static void job_free(struct job *job)
{
	mirror_close(job->mirror);
	pthread_mutex_destroy(&job->save_lock);
	pthread_mutex_destroy(&job->settings_lock);
	free(job->directory);
	free(job);
}

void job_put(struct job *job)
{
	struct floatfs *fs = job->fs;
	pthread_mutex_lock(&fs->lock);
	bool last = --job->references == 0;
	pthread_mutex_unlock(&fs->lock);
	if (last)
		job_free(job);
}

static int insert_locked(struct floatfs *fs, struct job *job)
{
	if (fs->job_count == fs->job_room) {
		size_t room = fs->job_room ? fs->job_room * 2 : 64;
		struct job **larger = realloc(fs->jobs, room * sizeof(struct job *));
		if (!larger)
			return -ENOMEM;
		fs->jobs = larger;
		larger = realloc(fs->hosted, room * sizeof(struct job *));
		if (!larger)
			return -ENOMEM;
		fs->hosted = larger;
		fs->job_room = room;
	}
	char **named = tsearch(job->record.id, &fs->jobs_by_id, compare_ids);
	if (!named)
		return -ENOMEM;
	if (*named != job->record.id)
		return -EEXIST;
	size_t at = job_position(fs, job->serial);
	memmove(fs->jobs + at + 1, fs->jobs + at, (fs->job_count - at) * sizeof(struct job *));
	fs->jobs[at] = job;
	fs->job_count++;
	users_count_locked(job);
	note_hosted_locked(job);
	return 0;
}

static struct job *job_new(struct floatfs *fs, uint64_t serial, struct error *err)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	job->fs = fs;
	job->serial = serial;
	job->references = 1; /* the table's */
	pthread_mutex_init(&job->save_lock, NULL);
	pthread_mutex_init(&job->settings_lock, NULL);
	job->directory = format_string("%s/jobs/%llu", fs->options.state, (unsigned long long)serial);
	autofree char *log = job_path(job, "log");
	if (mirror_open(log, &job->mirror, err) < 0) {
		job_free(job);
		return NULL;
	}
	return job;
}

static bool destroy_volume(struct floatfs *fs, const struct record *record, const char *volume)
{
	struct error err = { 0 };
	if (!volume[0] || fs->ops->volume_destroy(fs->cloud, volume, &err) == 0)
		return true;
	log_error("volume %s of job %s is left over: %s", volume, record->id, err.text);
	return false;
}

/* What is left of a job that nobody finds any more. Should this be cut off, the next start goes on with it. */
static void remove_forgotten(struct floatfs *fs, const char *directory, const struct record *record)
{
	bool gone = destroy_volume(fs, record, record->work_volume);
	gone &= destroy_volume(fs, record, record->process_volume);
	for (int64_t i = 0; i < record->volume_count; i++)
		gone &= destroy_volume(fs, record, record->volumes[i].id);
	for (int64_t i = 0; i < record->snapshot_count; i++)
		gone &= destroy_volume(fs, record, record->snapshots[i].volume);
	int status = gone ? file_remove_tree(directory) : 0;
	if (status < 0)
		log_error("%s cannot be removed: %s", directory, strerror(-status));
}

static int load_job(struct floatfs *fs, const char *directory, uint64_t serial, bool forgotten,
		    struct error *err)
{
	struct record record;
	autofree char *file = format_string("%s/record.json", directory);
	int status = record_load(file, &record, err);
	if (status == -ENOENT) {
		/* mkdir was cut off before the record stood, or rmdir after it: there is no such job. */
		file_remove_tree(directory);
		return 0;
	}
	if (status < 0)
		return status;
	if (forgotten) {
		remove_forgotten(fs, directory, &record);
		return 0;
	}
	struct job *job = job_new(fs, serial, err);
	if (!job)
		return -err->code;
	job->record = record;
	status = insert_locked(fs, job);
	if (status < 0) {
		job_free(job);
		return error_sys(err, -status, "the job in %s cannot be taken", directory);
	}
	if (serial > fs->last_serial)
		fs->last_serial = serial;
	return 0;
}

int job_load_all(struct floatfs *fs, struct error *err)
{
	autofree char *path = format_string("%s/jobs", fs->options.state);
	int status = file_make_directories(path, 0711);
	autoclosedir DIR *directory = status == 0 ? opendir(path) : NULL;
	if (!directory)
		return error_sys(err, status < 0 ? -status : errno, "cannot open %s", path);
	struct dirent *entry;
	while (status == 0 && (entry = readdir(directory))) {
		char *end;
		uint64_t serial = strtoull(entry->d_name, &end, 10);
		bool forgotten = !strcmp(end, FORGOTTEN);
		if (serial == 0 || (*end && !forgotten))
			continue;
		autofree char *below = format_string("%s/%s", path, entry->d_name);
		status = load_job(fs, below, serial, forgotten, err);
	}
	return status;
}

static void leave_name(void *name)
{
	(void)name; /* a job's */
}

void job_free_all(struct floatfs *fs)
{
	tdestroy(fs->jobs_by_id, leave_name);
	fs->jobs_by_id = NULL;
	for (size_t i = 0; i < fs->job_count; i++)
		job_put(fs->jobs[i]);
	free(fs->jobs);
	free(fs->hosted);
	fs->jobs = fs->hosted = NULL;
	fs->job_count = fs->hosted_count = 0;
}

static void describe_draft(struct record *record, const char *id, uint64_t serial,
			   const struct caller *caller)
{
	*record = (struct record){ .version = RECORD_VERSION,
				   .serial = (int64_t)serial,
				   .uid = caller->uid,
				   .gid = caller->gid,
				   .epoch = 1,
				   .submit_ns = clock_now_ns() };
	record_set(record->id, id);
	record_set(record->status, "Draft");
	char buffer[1024];
	struct passwd entry, *found = NULL;
	if (getpwuid_r(caller->uid, &entry, buffer, sizeof(buffer), &found) == 0 && found)
		record_set(record->user, entry.pw_name);
	else
		snprintf(record->user, sizeof(record->user), "%u", caller->uid);
}

int job_create_draft(struct floatfs *fs, const char *id, const struct caller *caller, struct error *err)
{
	if (!spec_name_ok(id))
		return error_set(
		    err, EINVAL,
		    "a job's id has letters, digits, . _ and -, at most 64, a letter or digit first");
	if (!strcmp(id, "self"))
		return error_set(err, EINVAL, "self is the job's own name for itself: choose another id");
	autojob struct job *there = job_find(fs, id);
	if (there)
		return error_set(err, EEXIST, "there is a job %s already", id);
	pthread_mutex_lock(&fs->lock);
	int status = users_check_jobs_locked(fs, caller->uid, err);
	pthread_mutex_unlock(&fs->lock);
	if (status < 0)
		return status;
	uint64_t serial = fs_new_serial(fs, err);
	if (!serial)
		return -err->code;
	struct job *job = job_new(fs, serial, err);
	if (!job)
		return -err->code;
	describe_draft(&job->record, id, serial, caller);
	status = settings_create(job, err);
	if (status == 0)
		status = job_save(job, err);
	if (status == 0) {
		pthread_mutex_lock(&fs->lock);
		status = users_check_jobs_locked(fs, caller->uid, err);
		if (status == 0 && (status = insert_locked(fs, job)) < 0)
			error_sys(err, -status, "the job %s cannot be made", id);
		pthread_mutex_unlock(&fs->lock);
	}
	if (status < 0) {
		file_remove_tree(job->directory);
		job_free(job);
	}
	return status;
}

int job_forget(struct floatfs *fs, const char *id, struct error *err)
{
	autojob struct job *job = job_find(fs, id);
	if (!job)
		return error_set(err, ENOENT, "there is no job %s", id);
	struct record record;
	int status = files_shut(job, err);
	if (status < 0)
		return status;
	pthread_mutex_lock(&fs->lock);
	bool busy = job->operating || !(job_is_draft(&job->record) || job_has_ended(&job->record));
	bool gone = job->forgotten;
	if (!busy && !gone) {
		job->forgotten = true;
		record = job->record;
		size_t at = job_position(fs, job->serial);
		memmove(fs->jobs + at, fs->jobs + at + 1, (fs->job_count - at - 1) * sizeof(struct job *));
		fs->job_count--;
		users_count_locked(job);
		note_hosted_locked(job);
		tdelete(job->record.id, &fs->jobs_by_id, compare_ids);
	}
	if (busy)
		job->files.shut = false;
	pthread_mutex_unlock(&fs->lock);
	if (gone)
		return error_set(err, ENOENT, "there is no job %s", id);
	if (busy)
		return error_set(err, EBUSY,
				 "job %s is alive: echo cancel > ctl first, then wait for its end", id);
	/* A write of the record may be at work: none comes after it. */
	pthread_mutex_lock(&job->save_lock);
	autofree char *directory = format_string("%s" FORGOTTEN, job->directory);
	if (rename(job->directory, directory) < 0)
		log_error("%s cannot be renamed: %s", job->directory, strerror(errno));
	pthread_mutex_unlock(&job->save_lock);
	remove_forgotten(fs, directory, &record);
	notify_changed(fs->notify, &(struct node){ .kind = TREE_JOB, .serial = job->serial });
	job_put(job); /* the table's */
	return 0;
}

int64_t job_host_cost(struct floatfs *fs, const char *type_name, const char *market, int64_t since_ns)
{
	const struct cloud_type *type = cloud_find_type(fs->ops, fs->cloud, type_name);
	if (!type || since_ns == 0)
		return 0;
	double hourly =
	    !strcmp(market, cloud_market_name(CLOUD_SPOT)) ? type->price_spot : type->price_ondemand;
	int64_t ns = clock_now_ns() - since_ns;
	/* The clock may have been set back since. */
	return ns > 0 ? (int64_t)((double)ns / 3.6e12 * hourly * 1e6) : 0;
}

int64_t job_cost_microusd(struct floatfs *fs, const struct record *record)
{
	int64_t cost = record->cost_microusd;
	if (record->host[0])
		cost += job_host_cost(fs, record->instance, record->market, record->host_since_ns);
	return cost;
}
