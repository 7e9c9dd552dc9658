#include "fs/spec.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

enum { VOLUME_GB_MAX = 16384, CPUS_MAX = 4096, MEMORY_GIB_MAX = 65536 };

bool spec_name_ok(const char *name)
{
	if (!isalnum((unsigned char)name[0]))
		return false;
	size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
	return length <= 64 && name[length] == '\0';
}

/* A whole positive number up to max, else -EINVAL. */
static int64_t parse_number(const char *text, int64_t max)
{
	char *end;
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	return errno || *end || value < 1 || value > max ? -EINVAL : value;
}

int spec_parse_target(const char *text, struct spec_target *target, struct error *err)
{
	memset(target, 0, sizeof(*target));
	autofree char *copy = strdup(text);
	if (!copy)
		return error_set(err, ENOMEM, "out of memory");
	char *rest = copy, *word;
	int words = 0;
	while ((word = strsep(&rest, " \t"))) {
		if (!*word)
			continue;
		words++;
		int64_t *size = NULL, max = 0;
		const char *number = word + 4;
		if (!strncmp(word, "cpu=", 4)) {
			size = &target->cpus;
			max = CPUS_MAX;
		} else if (!strncmp(word, "mem=", 4)) {
			size = &target->memory_gib;
			max = MEMORY_GIB_MAX;
		}
		if (size) {
			*size = parse_number(number, max);
			if (*size < 0)
				return error_set(err, EINVAL,
						 "%.60s: write a whole number, as in cpu=8 mem=16 (GiB)",
						 word);
		} else if (words == 1 && strlen(word) < sizeof(target->type) && spec_name_ok(word)) {
			snprintf(target->type, sizeof(target->type), "%s", word);
		} else {
			return error_set(err, EINVAL, "%.60s: write an instance type, or cpu=8 mem=16", word);
		}
	}
	if (words == 0)
		return error_set(err, EINVAL, "write an instance type, or cpu=8 mem=16");
	if (target->type[0] && words > 1)
		return error_set(err, EINVAL, "write either an instance type or cpu= and mem=, not both");
	return 0;
}

int spec_resolve_target(const struct spec_target *target, const struct cloud_ops *ops, struct cloud *cloud,
			const struct cloud_type **type, struct error *err)
{
	if (target->type[0]) {
		*type = cloud_find_type(ops, cloud, target->type);
		if (!*type)
			return error_set(err, EINVAL,
					 "there is no instance type %s (see the directory instances)",
					 target->type);
		return 0;
	}
	*type = cloud_cheapest_type(ops, cloud, (int)target->cpus, (int)(target->memory_gib * 1024));
	if (!*type)
		return error_set(
		    err, EINVAL,
		    "no instance type has %lld CPUs and %lld GiB of memory (see the directory instances)",
		    (long long)target->cpus, (long long)target->memory_gib);
	return 0;
}

static bool mount_ok(const char *mount)
{
	/* Places that the container itself needs: a volume there would hide them. */
	static const char *const taken[] = { "/proc",  "/sys",          "/dev",          "/tmp",
					     "/float", "/opt/memverge", "/var/log/float" };
	size_t length = strlen(mount);
	if (mount[0] != '/' || length < 2 || length >= sizeof(((struct record_volume *)0)->mount) ||
	    mount[length - 1] == '/')
		return false;
	if (strstr(mount, "//") || strstr(mount, "/../") || strstr(mount, "/./"))
		return false;
	if ((length >= 3 && !strcmp(mount + length - 3, "/..")) || !strcmp(mount + length - 2, "/."))
		return false;
	for (const char *c = mount; *c; c++)
		if (iscntrl((unsigned char)*c))
			return false;
	for (size_t i = 0; i < array_length(taken); i++) {
		size_t prefix = strlen(taken[i]);
		if (!strncmp(mount, taken[i], prefix) && (mount[prefix] == '/' || mount[prefix] == '\0'))
			return false;
		if (!strncmp(mount, taken[i], length) && taken[i][length] == '/')
			return false;
	}
	return true;
}

/* The options of a volume, between its brackets: only size=N (GB) has a meaning for a new volume. */
static int parse_volume_options(char *options, struct record_volume *volume, struct error *err)
{
	char *option;
	while ((option = strsep(&options, ","))) {
		if (strncmp(option, "size=", 5))
			return error_set(err, EINVAL, "volume option %.60s: a new volume has size=N (GB)",
					 option);
		volume->size_gb = parse_number(option + 5, VOLUME_GB_MAX);
		if (volume->size_gb < 0)
			return error_set(err, EINVAL,
					 "volume option %.60s: write size=N with N from 1 to %d (GB)", option,
					 VOLUME_GB_MAX);
	}
	return 0;
}

int spec_parse_volume(const char *text, struct record_volume *volume, struct error *err)
{
	memset(volume, 0, sizeof(*volume));
	autofree char *copy = strdup(text);
	if (!copy)
		return error_set(err, ENOMEM, "out of memory");
	char *source = copy;
	if (*source == '[') {
		char *end = strchr(source, ']');
		if (!end)
			return error_set(err, EINVAL, "volume %.100s: the ] is missing", text);
		*end = '\0';
		int status = parse_volume_options(source + 1, volume, err);
		if (status < 0)
			return status;
		source = end + 1;
	}
	/* The last `:/` parts the source from the mount point: a source may hold one too, as
	 * nfs://HOST/EXPORT does. */
	char *split = NULL;
	for (char *at = source; (at = strstr(at, ":/")); at++)
		split = at;
	if (!split)
		return error_set(err, EINVAL,
				 "volume %.100s: write [size=10]:/data (a size in GB, a mount point)", text);
	*split = '\0';
	if (*source)
		return error_set(err, EOPNOTSUPP,
				 "volume %.100s: only new volumes can be had, as [size=10]:/data", text);
	if (!volume->size_gb)
		return error_set(err, EINVAL, "volume %.100s: say its size, as in [size=10]:/data", text);
	if (!mount_ok(split + 1))
		return error_set(err, EINVAL, "volume %.100s: %s cannot be a mount point", text, split + 1);
	snprintf(volume->mount, sizeof(volume->mount), "%s", split + 1);
	return 0;
}

int spec_parse_vm_policy(const char *text, enum cloud_market *market, struct error *err)
{
	static const struct {
		const char *name;
		enum cloud_market market;
		bool chooses;
	} keys[] = {
		{ "onDemand", CLOUD_ONDEMAND, true },   { "spotOnly", CLOUD_SPOT, true },
		{ "spotFirst", CLOUD_SPOT, true },      { "retryLimit", CLOUD_SPOT, false },
		{ "retryInterval", CLOUD_SPOT, false },
	};
	autofree char *copy = strdup(text);
	if (!copy)
		return error_set(err, ENOMEM, "out of memory");
	char *rest = copy;
	size_t length = strlen(copy);
	if (*rest == '[' && length > 1 && copy[length - 1] == ']') {
		copy[length - 1] = '\0';
		rest++;
	}
	char *pair;
	while ((pair = strsep(&rest, ","))) {
		char *value = strchr(pair, '=');
		if (value)
			*value++ = '\0';
		size_t i = 0;
		while (i < array_length(keys) && strcmp(keys[i].name, pair))
			i++;
		if (i == array_length(keys) || !value)
			return error_set(err, EINVAL,
					 "policy vmPolicy %.60s: write [onDemand=true], [spotOnly=true] or "
					 "[spotFirst=true]",
					 text);
		if (keys[i].chooses && !strcmp(value, "true"))
			*market = keys[i].market;
	}
	return 0;
}

int spec_check_environment(const char *line, struct error *err)
{
	const char *equals = strchr(line, '=');
	bool ok = equals && equals > line && !isdigit((unsigned char)line[0]);
	for (const char *c = line; ok && c < equals; c++)
		ok = isalnum((unsigned char)*c) || *c == '_';
	return ok ? 0 : error_set(err, EINVAL, "env %.60s: write NAME=VALUE, one a line", line);
}

int spec_parse_signal(const char *name)
{
	int64_t number = parse_number(name, SIGRTMAX);
	if (number > 0)
		return (int)number;
	if (!strncasecmp(name, "SIG", 3))
		name += 3;
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *abbreviation = sigabbrev_np(i);
		if (abbreviation && !strcasecmp(abbreviation, name))
			return i;
	}
	return -EINVAL;
}
