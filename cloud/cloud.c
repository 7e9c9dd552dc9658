#include "cloud/cloud.h"

#include <string.h>

#include "cloud/providers.h"
#include "lib/cleanup.h"

static const struct cloud_ops *const providers[] = { &local_ops };

const struct cloud_ops *cloud_find(const char *name)
{
	for (size_t i = 0; i < array_length(providers); i++)
		if (strcmp(providers[i]->name, name) == 0)
			return providers[i];
	return NULL;
}

const char *cloud_names(void)
{
	return "local";
}

const struct cloud_type *cloud_find_type(const struct cloud_ops *ops, struct cloud *cloud, const char *name)
{
	size_t count;
	const struct cloud_type *types;
	types = ops->types(cloud, &count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(types[i].name, name) == 0)
			return &types[i]; /* cppcheck-suppress returnDanglingLifetime */
	return NULL;
}

const struct cloud_type *cloud_cheapest_type(const struct cloud_ops *ops, struct cloud *cloud, int cpus,
					     int memory_mib)
{
	size_t count;
	const struct cloud_type *types, *best = NULL;
	types = ops->types(cloud, &count);
	for (size_t i = 0; i < count; i++) {
		if (types[i].cpus < cpus || types[i].memory_mib < memory_mib)
			continue;
		if (!best || types[i].price_spot < best->price_spot)
			best = &types[i];
	}
	return best;
}

const char *cloud_market_name(enum cloud_market market)
{
	static const char *const names[] = { [CLOUD_SPOT] = "Spot", [CLOUD_ONDEMAND] = "OnDemand" };
	return names[market];
}
