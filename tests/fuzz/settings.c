/*
 * A setting of a draft, or its secret: the name in a line, then what it holds. `start` looks at all of them; where it has nothing against
 * any (but that there is no image), what the agent is sent must be a SPEC that it takes.
 */
#include "agent/spec.h"
#include "fs/op_spec.h"
#include "fs/spec.h"
#include "fs/submit.h"
#include "lib/json.h"
#include "tests/fuzz/daemon.h"

static json_object *volumes_of(struct job *job)
{
	autolines char **lines = NULL;
	size_t count;
	json_object *data = json_object_new_array();
	fuzz_check(settings_read_lines(job, "volumes", &lines, &count, NULL) == 0);
	for (size_t i = 0; i < count; i++) {
		struct record_volume volume;
		fuzz_check(spec_parse_volume(lines[i], &volume, NULL) == 0);
		autofree char *id = format_string("vol-%zu", i + 10);
		json_object *entry = json_object_new_object();
		json_set_string(entry, "volume", id);
		json_set_string(entry, "mount", volume.mount);
		json_object_array_add(data, entry);
	}
	return data;
}

static void check_spec(struct job *job)
{
	autojson json_object *object = NULL, *sent = NULL;
	struct error err = { 0 };
	record_set(job->record.digest, "sha256:0123456789abcdef0123");
	record_set(job->record.work_volume, "vol-1");
	fuzz_check(op_spec(job, "", &object, &err) == 0);
	json_object_object_add(object, "data", volumes_of(job));
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	fuzz_check(json_parse_object(text, strlen(text), &sent, &err) == 0);
	struct spec *spec = spec_parse(sent, &err);
	fuzz_check(spec);
	spec_free(spec);
}

static void start(struct job *job)
{
	struct error err = { 0 };
	fuzz_check(submit_job(job, &err) < 0 && err.text[0]);
	if (!strcmp(err.text, "image is empty: write a name from the directory images"))
		check_spec(job);
}

static void try_secret(struct job *job, const char *value, size_t length)
{
	struct secret secret;
	fuzz_check(secrets_find(job->fs, "key", &secret) == 0);
	autoclose int fd = secrets_open_value(job->fs, secret.serial, O_TRUNC);
	fuzz_check(fd >= 0 && file_write_all(fd, value, length) == 0);
	daemon_set(job, "env", "A={secret:key}", 14);
	start(job);
	daemon_set(job, "env", "", 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct job *job = daemon_draft();
	autofree char *text = fuzz_text(data, size);
	char *content = text;
	const char *name = fuzz_line(&content);
	size_t i = 0, length = size - (size_t)(content - text);
	if (!strcmp(name, "secret")) {
		try_secret(job, content, length);
		return 0;
	}
	while (settings_names[i] && strcmp(settings_names[i], name))
		i++;
	if (!settings_names[i] || !strcmp(name, "script"))
		return -1;
	daemon_set(job, name, content, length);
	start(job);
	if (!strcmp(name, "instance"))
		daemon_set(job, name, "c5.large", 8);
	else
		daemon_set(job, name, "", 0);
	return 0;
}
