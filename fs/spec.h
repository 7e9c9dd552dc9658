/* What users write: migration targets, volumes, ids, policies. Pure functions, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/cloud.h"
#include "fs/record.h"
#include "lib/error.h"

/* [A-Za-z0-9][A-Za-z0-9._-]{0,63}: job ids, image names. */
bool spec_name_ok(const char *name);

/* `c5.2xlarge`, or `cpu=8 mem=16` (either order, GiB): a type by name, or at least so much. */
struct spec_target {
	char type[32]; /* "" when asked for by size */
	int64_t cpus;
	int64_t memory_gib;
};

int spec_parse_target(const char *text, struct spec_target *target, struct error *err);

/* The type that it means: by name, or the cheapest that fits. -EINVAL with a sentence. */
int spec_resolve_target(const struct spec_target *target, const struct cloud_ops *ops, struct cloud *cloud,
			const struct cloud_type **type, struct error *err);

/* `[size=10]:/data`: options, a source (empty: a new volume), a mount point; split at the last `:/`. */
int spec_parse_volume(const char *text, struct record_volume *volume, struct error *err);

/* `[onDemand=true]`, `[spotOnly=true,retryInterval=900s]`, `[spotFirst=true,…]`: sets which market comes
 * first. */
int spec_parse_vm_policy(const char *text, enum cloud_market *market, struct error *err);

/* K=V with K a shell name. */
int spec_check_environment(const char *line, struct error *err);

/* The signal of a name (USR1, SIGUSR1, 10); -EINVAL. */
int spec_parse_signal(const char *name);
