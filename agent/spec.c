#include "agent/spec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/json.h"

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool spec_id_valid(const char *id)
{
	if (!id || !is_alphanumeric(id[0]) || strlen(id) > SPEC_ID_MAX)
		return false;
	for (const char *c = id; *c; c++)
		if (!is_alphanumeric(*c) && !strchr("._-", *c))
			return false;
	return true;
}

bool spec_path_valid(const char *path)
{
	if (!path || path[0] != '/' || path[1] == '\0' || strlen(path) >= PATH_MAX / 2)
		return false;
	for (const char *part = path; *part;) {
		part++; /* the slash */
		size_t length = strcspn(part, "/");
		if (length == 0 || (length == 1 && part[0] == '.') ||
		    (length == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		for (size_t i = 0; i < length; i++)
			if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f)
				return false;
		part += length;
	}
	return true;
}

/* Is path the same as other, or below it? */
static bool lies_in(const char *path, const char *other)
{
	size_t length = strlen(other);
	return strncmp(path, other, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static int check_mount(const struct spec *spec, size_t index, struct error *err)
{
	static const char *const ours[] = { "/proc", "/sys", "/dev", "/float", "/opt/memverge", "/tmp" };
	const char *mount = spec->data[index].mount;
	if (!spec_path_valid(mount))
		return error_set(err, EINVAL,
				 "`%s` is no place for a data volume: give an absolute path without . and ..",
				 mount);
	for (size_t i = 0; i < array_length(ours); i++)
		if (lies_in(mount, ours[i]) || lies_in(ours[i], mount))
			return error_set(err, EINVAL,
					 "a data volume cannot be mounted at %s: %s belongs to the system",
					 mount, ours[i]);
	if (lies_in(mount, spec->log) || lies_in(spec->log, mount))
		return error_set(err, EINVAL,
				 "a data volume cannot be mounted at %s: the log directory is at %s", mount,
				 spec->log);
	for (size_t i = 0; i < index; i++)
		if (lies_in(mount, spec->data[i].mount) || lies_in(spec->data[i].mount, mount))
			return error_set(err, EINVAL, "the data volumes at %s and %s lie in one another",
					 spec->data[i].mount, mount);
	return 0;
}

static int check_serials(const struct spec *spec, struct error *err)
{
	const char *serials[SPEC_DATA_MAX + 3];
	size_t count = 0;
	serials[count++] = spec->image;
	serials[count++] = spec->work;
	if (spec->process)
		serials[count++] = spec->process;
	for (size_t i = 0; i < spec->data_count; i++)
		serials[count++] = spec->data[i].volume;
	for (size_t i = 0; i < count; i++) {
		if (!spec_id_valid(serials[i]))
			return error_set(err, EINVAL, "`%s` is no volume's serial",
					 serials[i] ? serials[i] : "");
		for (size_t j = 0; j < i; j++)
			if (strcmp(serials[i], serials[j]) == 0)
				return error_set(err, EINVAL, "the volume %s is named twice", serials[i]);
	}
	return 0;
}

static int parse_data(struct spec *spec, json_object *array, struct error *err)
{
	size_t count = array ? json_object_array_length(array) : 0;
	if (count > SPEC_DATA_MAX)
		return error_set(err, EINVAL, "a job can have at most %d data volumes", SPEC_DATA_MAX);
	for (size_t i = 0; i < count; i++) {
		json_object *entry = json_object_array_get_idx(array, i);
		spec->data[i].volume = json_get_string(entry, "volume", "");
		spec->data[i].mount = json_get_string(entry, "mount", "");
		spec->data_count = i + 1;
		int status = check_mount(spec, i, err);
		if (status < 0)
			return status;
	}
	return 0;
}

static int check_words(json_object *array, const char *what, bool assignments, struct error *err)
{
	size_t count = array ? json_object_array_length(array) : 0;
	if (count > SPEC_WORDS_MAX)
		return error_set(err, E2BIG, "too many entries in %s: at most %d", what, SPEC_WORDS_MAX);
	for (size_t i = 0; i < count; i++) {
		json_object *word = json_object_array_get_idx(array, i);
		if (!json_object_is_type(word, json_type_string))
			return error_set(err, EINVAL, "%s may hold strings only", what);
		const char *text = json_object_get_string(word);
		if ((size_t)json_object_get_string_len(word) != strlen(text))
			return error_set(err, EINVAL, "%s must not hold NUL characters", what);
		if (assignments && (!strchr(text, '=') || text[0] == '='))
			return error_set(err, EINVAL, "`%s` in %s is not of the form NAME=VALUE", text, what);
	}
	return 0;
}

static int parse(struct spec *spec, struct error *err)
{
	json_object *json = spec->json;
	int64_t uid = json_get_int(json, "uid", -1), gid = json_get_int(json, "gid", -1);
	spec->id = json_get_string(json, "id", NULL);
	spec->hostname = json_get_string(json, "hostname", spec->id);
	spec->image = json_get_string(json, "image", "");
	spec->work = json_get_string(json, "work", "");
	spec->process = json_get_string(json, "process", NULL);
	spec->container = json_get_string(json, "container", spec->id);
	spec->log = json_get_string(json, "log", "/var/log/float");
	spec->address = json_get_string(json, "address", NULL);
	spec->network = json_get_bool(json, "network", false);
	spec->env = json_get_array(json, "env");
	spec->args = json_get_array(json, "args");
	spec->tree = json_get_array(json, "tree");

	struct in_addr address;
	if (!spec_id_valid(spec->id))
		return error_set(err, EINVAL, "`%s` is no job id", spec->id ? spec->id : "");
	if (!spec_id_valid(spec->hostname))
		return error_set(err, EINVAL, "`%s` is no host name", spec->hostname);
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return error_set(err, EINVAL, "the spec names no uid and gid to run the job as");
	spec->uid = (uid_t)uid;
	spec->gid = (gid_t)gid;
	if (spec->address && inet_pton(AF_INET, spec->address, &address) != 1)
		return error_set(err, EINVAL, "`%s` is no IPv4 address", spec->address);
	if (!spec_path_valid(spec->log) || lies_in(spec->log, "/proc") || lies_in(spec->log, "/sys") ||
	    lies_in(spec->log, "/dev") || lies_in(spec->log, "/float") || lies_in(spec->log, "/tmp") ||
	    lies_in(spec->log, "/opt/memverge"))
		return error_set(err, EINVAL, "`%s` is no place for the log directory", spec->log);
	int status = parse_data(spec, json_get_array(json, "data"), err);
	if (status == 0)
		status = check_serials(spec, err);
	if (status == 0)
		status = check_words(spec->env, "env", true, err);
	if (status == 0)
		status = check_words(spec->args, "args", false, err);
	return status;
}

struct spec *spec_parse(json_object *object, struct error *err)
{
	if (!object) {
		error_set(err, EINVAL, "the request has no spec");
		return NULL;
	}
	struct spec *spec = calloc(1, sizeof(*spec));
	if (!spec) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	spec->json = json_object_get(object);
	if (parse(spec, err) < 0) {
		spec_free(spec);
		return NULL;
	}
	return spec;
}

void spec_free(struct spec *spec)
{
	if (!spec)
		return;
	json_object_put(spec->json);
	free(spec);
}
