/* What a local host or volume is given for what was asked: pure arithmetic. Any thread may call these. */
#pragma once

#include <stdint.h>

#include "cloud/cloud.h"

enum { LIMITS_PIDS = 32768 };

struct limits {
	int64_t memory_bytes;
	int cpus;
};

/* The type's size, as far as the machine has it. */
struct limits limits_of_host(const struct cloud_type *type, int64_t machine_memory_bytes, int machine_cpus);

/* Rounded up to a whole MiB; 0 when that is no size for a volume (nothing, or more than 16 TiB). */
uint64_t limits_of_volume(uint64_t size_bytes);
