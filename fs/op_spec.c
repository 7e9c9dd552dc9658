#include "fs/op_spec.h"

#include <errno.h>

#include "fs/images.h"
#include "fs/secrets.h"
#include "fs/settings.h"
#include "fs/tree.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"

#define JOB_LOG_PATH "/var/log/float"
/* The job's own address: inside its network namespace only, so that every job may have the same one. */
#define JOB_ADDRESS "10.218.0.2"

static void add_text(json_object *array, char *text)
{
	json_object_array_add(array, json_object_new_string(text));
	free(text);
}

/* The job's environment: what float-cli.md promises, then the user's own, which may replace it. */
static int environment(struct job *job, const struct record *record, json_object *spec, struct error *err)
{
	autolines char **lines = NULL;
	size_t count;
	int status = settings_read_lines(job, "env", &lines, &count, err);
	if (status < 0)
		return status;
	json_object *env = json_object_new_array();
	json_object_object_add(spec, "env", env);
	add_text(env, format_string("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
	add_text(env, format_string("HOME=%s", record->root ? "/root" : "/tmp"));
	add_text(env, format_string("FLOAT_JOB_ID=%s", record->id));
	add_text(env, format_string("FLOAT_JOB_PATH=/float/jobs/%s", record->id));
	add_text(env, format_string("FLOAT_LOG_PATH=%s", JOB_LOG_PATH));
	add_text(env, format_string("FLOAT_MOUNT=/float"));
	add_text(env, format_string("FLOAT_ADDR=localhost"));
	add_text(env, format_string("FLOAT_USER=%s", record->user));
	add_text(env, format_string("FLOAT_USER_ID=%lld", (long long)record->uid));
	for (size_t i = 0; i < count && status == 0; i++) {
		autofree char *line = NULL;
		status = secrets_expand(job->fs, lines[i], (uid_t)record->uid, &line, err);
		if (status == 0)
			json_object_array_add(env, json_object_new_string(line));
	}
	return status;
}

json_object *op_spec_of_files(const struct record *record)
{
	char serial[32];
	images_device_serial(record->digest, serial);
	json_object *spec = json_object_new_object();
	json_set_string(spec, "id", record->id);
	json_set_string(spec, "container", record->container);
	json_set_string(spec, "hostname", "float-job");
	json_set_int(spec, "uid", record->root ? 0 : record->uid);
	json_set_int(spec, "gid", record->root ? 0 : record->gid);
	json_set_string(spec, "image", serial);
	json_set_string(spec, "work", record->work_volume);
	json_set_string(spec, "log", JOB_LOG_PATH);
	json_object *data = json_object_new_array();
	for (int64_t i = 0; i < record->volume_count; i++) {
		json_object *volume = json_object_new_object();
		json_set_string(volume, "volume", record->volumes[i].id);
		json_set_string(volume, "mount", record->volumes[i].mount);
		json_object_array_add(data, volume);
	}
	json_object_object_add(spec, "data", data);
	return spec;
}

int op_spec(struct job *job, const char *process, json_object **out, struct error *err)
{
	struct record record;
	/* Else it has its environment, and a secret in it may be gone by now. */
	bool starts = !process[0];
	job_snapshot(job, &record);
	autojson json_object *spec = op_spec_of_files(&record);
	json_set_string(spec, "process", process[0] ? process : NULL);
	int status = starts ? environment(job, &record, spec, err) : 0;
	if (status < 0)
		return status;
	autolines char **lines = NULL;
	size_t count;
	status = settings_read_words(job, "args", &lines, &count, err);
	if (status < 0)
		return status;
	json_object *args = json_object_new_array();
	for (size_t i = 0; i < count; i++)
		json_object_array_add(args, json_object_new_string(lines[i]));
	json_object_object_add(spec, "args", args);
	json_set_string(spec, "address", JOB_ADDRESS);
	json_set_bool(spec, "network", job->fs->options.network);
	json_object_object_add(spec, "tree", tree_describe_for_job(job->fs, record.id));
	*out = take_pointer(spec);
	return 0;
}
