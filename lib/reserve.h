/* What of a host's memory is not its job's: the agent's, and page cache to work with. */
#pragma once

#include <stdint.h>

enum { RESERVE_MIN_MIB = 64, RESERVE_PART = 64 };

static inline int64_t reserve_of_memory(int64_t host_bytes)
{
	int64_t part = host_bytes / RESERVE_PART, least = (int64_t)RESERVE_MIN_MIB << 20;
	return part > least ? part : least;
}
