/* The cloud's table: providers, types, the cheapest that fits; and what a local host or volume is given. */
#include <criterion/criterion.h>
#include <string.h>

#include "cloud/cloud.h"
#include "cloud/local/limits.h"
#include "cloud/types.h"

static const struct cloud_ops *local(void)
{
	const struct cloud_ops *ops = cloud_find("local");
	cr_assert_not_null(ops);
	return ops;
}

static const char *cheapest(int cpus, int gib)
{
	const struct cloud_type *type = cloud_cheapest_type(local(), NULL, cpus, gib * 1024);
	return type ? type->name : "none";
}

Test(cloud, providers)
{
	cr_assert_str_eq(local()->name, "local");
	cr_assert_null(cloud_find("nimbus"));
	cr_assert_null(cloud_find(""));
	cr_assert_str_eq(cloud_names(), "local");
}

Test(cloud, type_by_name)
{
	const struct cloud_type *type = cloud_find_type(local(), NULL, "c5.2xlarge");
	cr_assert_not_null(type);
	cr_assert_eq(type->cpus, 8);
	cr_assert_eq(type->memory_mib, 16 * 1024);
	cr_assert_float_eq(type->price_ondemand, 0.34, 1e-9);
	cr_assert_eq(cloud_find_type(local(), NULL, "t3.nano")->memory_mib, 512);
	cr_assert_null(cloud_find_type(local(), NULL, "c5"));
	cr_assert_null(cloud_find_type(local(), NULL, "c5.2xlargE"));
	cr_assert_null(cloud_find_type(local(), NULL, ""));
}

Test(cloud, table_is_sane)
{
	size_t count;
	const struct cloud_type *types = cloud_type_table(&count);
	cr_assert_gt(count, 40);
	for (size_t i = 0; i < count; i++) {
		cr_assert_gt(types[i].price_spot, 0, "%s", types[i].name);
		cr_assert_lt(types[i].price_spot, types[i].price_ondemand, "%s", types[i].name);
		cr_assert_geq(types[i].cpus, 2, "%s", types[i].name);
		cr_assert_geq(types[i].memory_mib, 512, "%s", types[i].name);
		for (size_t j = 0; j < i; j++)
			cr_assert_str_neq(types[i].name, types[j].name);
	}
}

Test(cloud, cheapest)
{
	cr_assert_str_eq(cheapest(8, 16), "c5.2xlarge");
	cr_assert_str_eq(cheapest(2, 4), "t3.medium");
	cr_assert_str_eq(cheapest(1, 1), "t3.micro");
	cr_assert_str_eq(cheapest(0, 0), "t3.nano");
	cr_assert_str_eq(cheapest(96, 1024), "r6i.32xlarge");
	cr_assert_str_eq(cheapest(129, 1), "none");
	cr_assert_str_eq(cheapest(1, 1025), "none");
}

Test(cloud, market_names)
{
	cr_assert_str_eq(cloud_market_name(CLOUD_SPOT), "Spot");
	cr_assert_str_eq(cloud_market_name(CLOUD_ONDEMAND), "OnDemand");
}

Test(cloud, host_limits_are_bounded_by_the_machine)
{
	const struct cloud_type *type = cloud_find_type(local(), NULL, "c5.2xlarge");
	struct limits limits = limits_of_host(type, 64LL << 30, 64);
	cr_assert_eq(limits.memory_bytes, 16LL << 30);
	cr_assert_eq(limits.cpus, 8);
	limits = limits_of_host(type, 8LL << 30, 2);
	cr_assert_eq(limits.memory_bytes, 8LL << 30);
	cr_assert_eq(limits.cpus, 2);
}

Test(cloud, volume_sizes)
{
	cr_assert_eq(limits_of_volume(0), 0);
	cr_assert_eq(limits_of_volume(1), 1 << 20);
	cr_assert_eq(limits_of_volume(1 << 20), 1 << 20);
	cr_assert_eq(limits_of_volume((1 << 20) + 1), 2 << 20);
	cr_assert_eq(limits_of_volume(10ULL << 30), 10ULL << 30);
	cr_assert_eq(limits_of_volume((16ULL << 40) + 1), 0);
	cr_assert_eq(limits_of_volume(UINT64_MAX), 0);
}
