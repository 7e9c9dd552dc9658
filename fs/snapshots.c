#include "fs/snapshots.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/mirror.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum { TIDY_TIMEOUT_MS = 30000 };

const struct record_snapshot *snapshots_find(const struct record *record, int64_t number)
{
	for (int64_t i = 0; i < record->snapshot_count; i++)
		if (record->snapshots[i].number == number)
			return &record->snapshots[i];
	return NULL;
}

int64_t snapshots_parse(const char *text)
{
	size_t length = strspn(text, "0123456789");
	return length == 0 || length > 9 || text[length] || text[0] == '0' ? 0 : strtoll(text, NULL, 10);
}

char *snapshots_name(int64_t number)
{
	return format_string("%lld", (long long)number);
}

json_object *snapshots_names(const struct record *record)
{
	json_object *names = json_object_new_array();
	for (int64_t i = 0; i < record->snapshot_count; i++) {
		autofree char *name = snapshots_name(record->snapshots[i].number);
		json_object_array_add(names, json_object_new_string(name));
	}
	return names;
}

int snapshots_detach(struct job *job, struct error *err)
{
	struct record record;
	job_snapshot(job, &record);
	const struct record_snapshot *snapshot = snapshots_find(&record, record.op.snapshot);
	return snapshot ? job->fs->ops->volume_detach(job->fs->cloud, snapshot->volume, record.host, err) : 0;
}

/* ---- logs ---- */

static char *logs_path(struct job *job, int64_t number)
{
	return format_string("%s/snapshot-%lld.json", job->directory, (long long)number);
}

int snapshots_save_logs(struct job *job, int64_t number, json_object *logs, struct error *err)
{
	autofree char *path = logs_path(job, number);
	autojson json_object *object = json_object_new_object();
	json_object_object_add(object, "logs", logs ? json_object_get(logs) : json_object_new_array());
	int status = json_write_file(path, object, 0600);
	return status < 0 ? error_sys(err, -status, "cannot write %s", path) : 0;
}

static void tell_cut(void *context, const char *path, int64_t size, const char *kept)
{
	events_write(context, "The log file %s is cut back to byte %lld: what followed is in %s", path,
		     (long long)size, kept);
}

void snapshots_cut_logs(struct job *job, int64_t number)
{
	autofree char *path = logs_path(job, number);
	autojson json_object *object = NULL;
	struct error err = { 0 };
	int status = 0;
	if (number == 0) {
		object = json_object_new_object();
		json_object_object_add(object, "logs", json_object_new_array());
	} else {
		status = json_read_file(path, &object, &err);
	}
	if (status == 0)
		status = mirror_cut(job->mirror, json_get_array(object, "logs"), tell_cut, job, &err);
	if (status < 0)
		log_error("job %s: its logs could not be cut back: %s", job->record.id, err.text);
	job_changed(job, CHANGE_LOGS);
}

/* ---- those that go ---- */

/* The record forgets it first: a volume that is left over then is said. False: there is none of that number. */
static bool drop(struct job *job, int64_t number)
{
	struct record_snapshot gone = { 0 };
	struct error err = { 0 };
	job_lock(job);
	struct record *record = &job->record;
	for (int64_t i = 0; i < record->snapshot_count; i++) {
		if (record->snapshots[i].number != number)
			continue;
		gone = record->snapshots[i];
		record->snapshot_count--;
		memmove(record->snapshots + i, record->snapshots + i + 1,
			(size_t)(record->snapshot_count - i) * sizeof(record->snapshots[0]));
	}
	job_unlock(job);
	if (!gone.number)
		return false;
	if (job_save(job, &err) < 0)
		log_error("job %s: %s", job->record.id, err.text);
	if (job->fs->ops->volume_destroy(job->fs->cloud, gone.volume, &err) < 0)
		log_error("volume %s of job %s is left over: %s", gone.volume, job->record.id, err.text);
	autofree char *path = logs_path(job, number);
	unlink(path);
	return true;
}

int snapshots_trim(struct job *job, int64_t kept)
{
	int dropped = 0;
	for (;;) {
		struct record record;
		job_snapshot(job, &record);
		if (record.snapshot_count <= kept || !drop(job, record.snapshots[0].number))
			return dropped;
		events_write(job, "Snapshot %lld was deleted: %lld are kept",
			     (long long)record.snapshots[0].number, (long long)kept);
		dropped++;
	}
}

void snapshots_tidy(struct job *job)
{
	struct record record;
	struct error err = { 0 };
	job_snapshot(job, &record);
	autojson json_object *body = json_object_new_object();
	json_object_object_add(body, "keep", snapshots_names(&record));
	if (agents_call(job->fs, record.host, record.address, record.id, "tidy", body, record.epoch, NULL,
			TIDY_TIMEOUT_MS, NULL, &err) < 0)
		log_info("job %s: %s", record.id, err.text);
}

void snapshots_note_given_up(struct job *job, json_object *names)
{
	for (size_t i = 0; i < json_object_array_length(names); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(names, i));
		int64_t number = snapshots_parse(name ? name : "");
		if (number && drop(job, number))
			events_write(job, "Snapshot %lld was given up: a volume of the job is short of room",
				     (long long)number);
	}
	job_changed(job, CHANGE_STATE);
}
