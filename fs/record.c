#include "fs/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/spec.h"
#include "lib/cleanup.h"
#include "lib/json.h"

enum field_type { TEXT, NUMBER };

struct field {
	const char *name;
	enum field_type type;
	size_t offset, size;
};

#define FIELD_TEXT(struct_, member)                                                                          \
	{                                                                                                    \
#member, TEXT, offsetof(struct struct_, member), sizeof(((struct struct_ *)0)->member)       \
	}
#define FIELD_NUMBER(struct_, member)                                                                        \
	{                                                                                                    \
#member, NUMBER, offsetof(struct struct_, member), sizeof(((struct struct_ *)0)->member)     \
	}

static const struct field record_fields[] = {
	FIELD_NUMBER(record, version),
	FIELD_NUMBER(record, serial),
	FIELD_TEXT(record, id),
	FIELD_NUMBER(record, uid),
	FIELD_NUMBER(record, gid),
	FIELD_NUMBER(record, root),
	FIELD_TEXT(record, user),
	FIELD_TEXT(record, status),
	FIELD_TEXT(record, name),
	FIELD_TEXT(record, image),
	FIELD_TEXT(record, digest),
	FIELD_TEXT(record, instance),
	FIELD_TEXT(record, market),
	FIELD_TEXT(record, zone),
	FIELD_TEXT(record, host),
	FIELD_TEXT(record, address),
	FIELD_NUMBER(record, host_serial),
	FIELD_NUMBER(record, host_since_ns),
	FIELD_TEXT(record, container),
	FIELD_TEXT(record, target),
	FIELD_TEXT(record, told),
	FIELD_TEXT(record, work_volume),
	FIELD_TEXT(record, process_volume),
	FIELD_NUMBER(record, epoch),
	FIELD_NUMBER(record, submit_ns),
	FIELD_NUMBER(record, start_ns),
	FIELD_NUMBER(record, end_ns),
	FIELD_NUMBER(record, exit_known),
	FIELD_NUMBER(record, exit_code),
	FIELD_NUMBER(record, exit_signal),
	FIELD_TEXT(record, exit_note),
	FIELD_NUMBER(record, cancel),
	FIELD_NUMBER(record, lost),
	FIELD_NUMBER(record, reruns),
	FIELD_NUMBER(record, failed_recoveries),
	FIELD_NUMBER(record, failed_starts),
	FIELD_NUMBER(record, freeze_us),
	FIELD_NUMBER(record, migrations),
	FIELD_NUMBER(record, memory_bytes),
	FIELD_NUMBER(record, cost_microusd),
	FIELD_TEXT(record, reason),
	FIELD_NUMBER(record, last_snapshot),
	FIELD_NUMBER(record, going_back),
};

static const struct field op_fields[] = {
	FIELD_TEXT(record_op, name),
	FIELD_TEXT(record_op, step),
	FIELD_NUMBER(record_op, undoing),
	FIELD_TEXT(record_op, type),
	FIELD_TEXT(record_op, market),
	FIELD_TEXT(record_op, host),
	FIELD_TEXT(record_op, address),
	FIELD_NUMBER(record_op, host_serial),
	FIELD_TEXT(record_op, token),
	FIELD_TEXT(record_op, secret),
	FIELD_NUMBER(record_op, host_since_ns),
	FIELD_NUMBER(record_op, began_ns),
	FIELD_TEXT(record_op, process_volume),
	FIELD_TEXT(record_op, reason),
	FIELD_NUMBER(record_op, host_lost),
	FIELD_NUMBER(record_op, launched),
	FIELD_NUMBER(record_op, granted),
	FIELD_NUMBER(record_op, committed),
	FIELD_NUMBER(record_op, abort),
	FIELD_NUMBER(record_op, suspended),
	FIELD_NUMBER(record_op, freeze_ns),
	FIELD_NUMBER(record_op, dumped_ns),
	FIELD_NUMBER(record_op, thaw_ns),
	FIELD_NUMBER(record_op, closed),
	FIELD_NUMBER(record_op, waited_ns),
	FIELD_TEXT(record_op, waited_for),
	FIELD_NUMBER(record_op, snapshot),
	FIELD_TEXT(record_op, ended),
	FIELD_NUMBER(record_op, bytes),
	FIELD_NUMBER(record_op, taken_ns),
};

static const struct field volume_fields[] = {
	FIELD_TEXT(record_volume, id),
	FIELD_TEXT(record_volume, mount),
	FIELD_NUMBER(record_volume, size_gb),
};

static const struct field snapshot_fields[] = {
	FIELD_NUMBER(record_snapshot, number), FIELD_NUMBER(record_snapshot, taken_ns),
	FIELD_NUMBER(record_snapshot, bytes),  FIELD_TEXT(record_snapshot, host),
	FIELD_TEXT(record_snapshot, instance), FIELD_TEXT(record_snapshot, volume),
};

void record_set_text(char *member, size_t size, const char *text)
{
	snprintf(member, size, "%s", text);
}

static json_object *write_fields(const struct field *fields, size_t count, const void *from)
{
	json_object *object = json_object_new_object();
	for (size_t i = 0; i < count; i++) {
		const void *member = (const char *)from + fields[i].offset;
		if (fields[i].type == TEXT)
			json_set_string(object, fields[i].name, member);
		else
			json_set_int(object, fields[i].name, *(const int64_t *)member);
	}
	return object;
}

static void read_fields(const struct field *fields, size_t count, json_object *object, void *to)
{
	for (size_t i = 0; i < count; i++) {
		void *member = (char *)to + fields[i].offset;
		if (fields[i].type == TEXT)
			record_set_text(member, fields[i].size, json_get_string(object, fields[i].name, ""));
		else
			*(int64_t *)member = json_get_int(object, fields[i].name, 0);
	}
}

int record_save(const char *path, const struct record *record, struct error *err)
{
	autojson json_object *object = write_fields(record_fields, array_length(record_fields), record);
	json_object *volumes = json_object_new_array();
	for (int64_t i = 0; i < record->volume_count; i++)
		json_object_array_add(
		    volumes, write_fields(volume_fields, array_length(volume_fields), &record->volumes[i]));
	json_object_object_add(object, "volumes", volumes);
	json_object *snapshots = json_object_new_array();
	for (int64_t i = 0; i < record->snapshot_count; i++)
		json_object_array_add(snapshots, write_fields(snapshot_fields, array_length(snapshot_fields),
							      &record->snapshots[i]));
	json_object_object_add(object, "snapshots", snapshots);
	json_object_object_add(object, "op", write_fields(op_fields, array_length(op_fields), &record->op));
	int status = json_write_file(path, object, 0600);
	return status < 0 ? error_sys(err, -status, "cannot write the record %s", path) : 0;
}

int record_load(const char *path, struct record *record, struct error *err)
{
	autojson json_object *object = NULL;
	int status = json_read_file(path, &object, err);
	if (status < 0)
		return status;
	int64_t version = json_get_int(object, "version", 0);
	if (version > RECORD_VERSION)
		return error_set(
		    err, EPROTONOSUPPORT,
		    "%s was written by a newer floatfs (record version %lld): start that one again", path,
		    (long long)version);
	memset(record, 0, sizeof(*record));
	read_fields(record_fields, array_length(record_fields), object, record);
	if (version < 1 || record->serial < 1 || !spec_name_ok(record->id) || !record->status[0])
		return error_set(err, EBADMSG, "%s is not a job's record", path);
	record->version = RECORD_VERSION;
	json_object *volumes = json_get_array(object, "volumes");
	size_t count = volumes ? json_object_array_length(volumes) : 0;
	for (size_t i = 0; i < count && i < RECORD_VOLUMES; i++, record->volume_count++)
		read_fields(volume_fields, array_length(volume_fields), json_object_array_get_idx(volumes, i),
			    &record->volumes[i]);
	json_object *snapshots = json_get_array(object, "snapshots");
	count = snapshots ? json_object_array_length(snapshots) : 0;
	for (size_t i = 0; i < count && i < RECORD_SNAPSHOTS; i++, record->snapshot_count++)
		read_fields(snapshot_fields, array_length(snapshot_fields),
			    json_object_array_get_idx(snapshots, i), &record->snapshots[i]);
	json_object *op = json_get_object(object, "op");
	if (op)
		read_fields(op_fields, array_length(op_fields), op, &record->op);
	/* It had the step's place in the table. */
	int64_t place = version == 1 ? json_get_int(op, "step", -1) : -1;
	if (place >= 0)
		snprintf(record->op.step, sizeof(record->op.step), "%lld", (long long)place);
	return 0;
}
