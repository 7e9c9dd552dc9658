/*
 * What users write: a word that says what it is, a space, and the text. What floatfs takes the agent must take, when the
 * job is started.
 */
#include "fs/spec.h"

#include <errno.h>
#include <signal.h>

#include "agent/spec.h"
#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

static void try_name(const char *text)
{
	if (spec_name_ok(text))
		fuzz_check(spec_id_valid(text));
}

static void try_target(const char *text)
{
	struct spec_target target;
	struct error err = { 0 };
	const struct cloud_type *type;
	if (spec_parse_target(text, &target, &err) < 0) {
		fuzz_check(err.text[0]);
		return;
	}
	fuzz_check(target.type[0] ? !target.cpus && !target.memory_gib
				  : target.cpus > 0 || target.memory_gib > 0);
	const struct cloud_ops *ops = cloud_find("local");
	if (spec_resolve_target(&target, ops, NULL, &type, &err) == 0)
		fuzz_check(type->cpus >= target.cpus && type->memory_mib >= target.memory_gib * 1024);
}

static void try_volume(const char *text)
{
	struct record_volume volume;
	struct error err = { 0 };
	if (spec_parse_volume(text, &volume, &err) < 0) {
		fuzz_check(err.text[0]);
		return;
	}
	fuzz_check(volume.size_gb > 0 && !volume.id[0] && spec_path_valid(volume.mount));
	/* It stands in `volumes` as it was written: what was made of it is the same again. */
	struct record_volume again;
	autofree char *written = format_string("[size=%lld]:%s", (long long)volume.size_gb, volume.mount);
	fuzz_check(spec_parse_volume(written, &again, NULL) == 0 && !memcmp(&again, &volume, sizeof(volume)));
}

static void try_policy(const char *text)
{
	enum cloud_market market = CLOUD_SPOT;
	struct error err = { 0 };
	fuzz_check(spec_parse_vm_policy(text, &market, &err) == 0 || err.text[0]);
	fuzz_check(market == CLOUD_SPOT || market == CLOUD_ONDEMAND);
}

static void try_environment(const char *text)
{
	struct error err = { 0 };
	if (spec_check_environment(text, &err) == 0)
		fuzz_check(text[0] != '=' && strchr(text, '='));
	else
		fuzz_check(err.text[0]);
}

static void try_signal(const char *text)
{
	int number = spec_parse_signal(text);
	fuzz_check(number == -EINVAL || (number > 0 && number <= SIGRTMAX));
}

static const struct {
	const char *word;
	void (*try)(const char *text);
} kinds[] = {
	{ "name ", try_name },     { "target ", try_target },   { "volume ", try_volume },
	{ "policy ", try_policy }, { "env ", try_environment }, { "signal ", try_signal },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = fuzz_text(data, size);
	for (size_t i = 0; i < array_length(kinds); i++) {
		size_t length = strlen(kinds[i].word);
		if (strncmp(text, kinds[i].word, length))
			continue;
		kinds[i].try(text + length);
		return 0;
	}
	return -1;
}
