#include "cloud/local/limits.h"

static const uint64_t mebibyte = 1 << 20;
static const uint64_t largest_volume = 16ULL << 40; /* ext4's largest file, as what may back one */

struct limits limits_of_host(const struct cloud_type *type, int64_t machine_memory_bytes, int machine_cpus)
{
	struct limits limits = { .memory_bytes = (int64_t)type->memory_mib << 20, .cpus = type->cpus };
	if (limits.memory_bytes > machine_memory_bytes)
		limits.memory_bytes = machine_memory_bytes;
	if (limits.cpus > machine_cpus)
		limits.cpus = machine_cpus;
	return limits;
}

uint64_t limits_of_volume(uint64_t size_bytes)
{
	if (size_bytes == 0 || size_bytes > largest_volume)
		return 0;
	return (size_bytes + mebibyte - 1) / mebibyte * mebibyte;
}
