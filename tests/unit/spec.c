#include "fs/spec.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>

#include "lib/cleanup.h"

Test(spec, names)
{
	static const char *const good[] = { "a", "0", "A.b_c-d", "4BZXIxWu6L5ioCSqEMD63" };
	static const char *const bad[] = { "", ".", "..", ".a", "-a", "_a", "a/b", "a b", "a\n", "\xc3\xa4" };
	for (size_t i = 0; i < array_length(good); i++)
		cr_expect(spec_name_ok(good[i]), "%s", good[i]);
	for (size_t i = 0; i < array_length(bad); i++)
		cr_expect(!spec_name_ok(bad[i]), "%s", bad[i]);

	char longest[66];
	memset(longest, 'x', sizeof(longest));
	longest[64] = '\0';
	cr_expect(spec_name_ok(longest));
	longest[64] = 'x';
	longest[65] = '\0';
	cr_expect(!spec_name_ok(longest));
}

Test(spec, targets)
{
	static const struct {
		const char *text, *type;
		int64_t cpus, memory_gib;
	} good[] = {
		{ "c5.2xlarge", "c5.2xlarge", 0, 0 },
		{ "cpu=8 mem=16", "", 8, 16 },
		{ "mem=16 cpu=8", "", 8, 16 },
		{ "cpu=2", "", 2, 0 },
	};
	static const char *const bad[] = {
		"",       "cpu=",           "cpu=x mem=1",    "cpu=0 mem=1",
		"cpu=-1", "cpu=1.5",        "cpu=99999999",   "a b",
		"a/b",    "c5.large cpu=2", "cpu=2 c5.large", "mem=99999999999999999999"
	};
	struct spec_target target;
	struct error err = { 0 };
	for (size_t i = 0; i < array_length(good); i++) {
		cr_expect(spec_parse_target(good[i].text, &target, &err) == 0, "%s: %s", good[i].text,
			  err.text);
		cr_expect_str_eq(target.type, good[i].type);
		cr_expect_eq(target.cpus, good[i].cpus);
		cr_expect_eq(target.memory_gib, good[i].memory_gib);
	}
	for (size_t i = 0; i < array_length(bad); i++) {
		err.text[0] = '\0';
		cr_expect_eq(spec_parse_target(bad[i], &target, &err), -EINVAL, "%s", bad[i]);
		cr_expect(err.text[0], "no sentence for %s", bad[i]);
	}
}

Test(spec, volumes)
{
	static const struct {
		const char *text, *mount;
		int64_t size_gb;
	} good[] = {
		{ "[size=10]:/data", "/data", 10 },
		{ "[size=1]:/mnt/a/b", "/mnt/a/b", 1 },
	};
	static const struct {
		const char *text;
		int code;
	} bad[] = {
		{ "", EINVAL },
		{ "/data", EINVAL },
		{ ":/data", EINVAL },
		{ "[size=10]", EINVAL },
		{ "[size=10:/data", EINVAL },
		{ "[size=0]:/data", EINVAL },
		{ "[size=-1]:/data", EINVAL },
		{ "[size=ten]:/data", EINVAL },
		{ "[mode=rw]:/data", EINVAL },
		{ "[size=10]:/", EINVAL },
		{ "[size=10]:/data/", EINVAL },
		{ "[size=10]:/data/../etc", EINVAL },
		{ "[size=10]:/proc", EINVAL },
		{ "[size=10]:/tmp/x", EINVAL },
		{ "[size=10]:/dev/shm", EINVAL },
		{ "[size=10]:/var", EINVAL }, /* it would hide /var/log/float */
		{ "[size=10]s3://bucket/path:/mnt", EOPNOTSUPP },
		{ "nfs://host/export:/mnt", EOPNOTSUPP },
	};
	struct record_volume volume;
	struct error err = { 0 };
	for (size_t i = 0; i < array_length(good); i++) {
		cr_expect(spec_parse_volume(good[i].text, &volume, &err) == 0, "%s: %s", good[i].text,
			  err.text);
		cr_expect_str_eq(volume.mount, good[i].mount);
		cr_expect_eq(volume.size_gb, good[i].size_gb);
	}
	for (size_t i = 0; i < array_length(bad); i++) {
		err.text[0] = '\0';
		cr_expect_eq(spec_parse_volume(bad[i].text, &volume, &err), -bad[i].code, "%s", bad[i].text);
		cr_expect(err.text[0], "no sentence for %s", bad[i].text);
	}
}

Test(spec, vm_policies)
{
	static const struct {
		const char *text;
		enum cloud_market market;
	} good[] = {
		{ "[onDemand=true]", CLOUD_ONDEMAND },
		{ "onDemand=true", CLOUD_ONDEMAND },
		{ "[spotOnly=true,retryInterval=900s]", CLOUD_SPOT },
		{ "[spotFirst=true,retryLimit=3,retryInterval=10m]", CLOUD_SPOT },
	};
	static const char *const bad[] = { "[]", "[cheap=true]", "[onDemand]", "spot" };
	struct error err = { 0 };
	for (size_t i = 0; i < array_length(good); i++) {
		enum cloud_market market = CLOUD_SPOT;
		cr_expect(spec_parse_vm_policy(good[i].text, &market, &err) == 0, "%s: %s", good[i].text,
			  err.text);
		cr_expect_eq(market, good[i].market, "%s", good[i].text);
	}
	for (size_t i = 0; i < array_length(bad); i++) {
		enum cloud_market market = CLOUD_SPOT;
		cr_expect_eq(spec_parse_vm_policy(bad[i], &market, &err), -EINVAL, "%s", bad[i]);
	}
}

Test(spec, environments)
{
	struct error err = { 0 };
	cr_expect_eq(spec_check_environment("A=b", &err), 0);
	cr_expect_eq(spec_check_environment("_A1=", &err), 0);
	cr_expect_eq(spec_check_environment("A=b=c d", &err), 0);
	cr_expect_eq(spec_check_environment("A", &err), -EINVAL);
	cr_expect_eq(spec_check_environment("=b", &err), -EINVAL);
	cr_expect_eq(spec_check_environment("1A=b", &err), -EINVAL);
	cr_expect_eq(spec_check_environment("A B=c", &err), -EINVAL);
}

Test(spec, signals)
{
	cr_expect_eq(spec_parse_signal("USR1"), SIGUSR1);
	cr_expect_eq(spec_parse_signal("SIGUSR1"), SIGUSR1);
	cr_expect_eq(spec_parse_signal("9"), SIGKILL);
	cr_expect_eq(spec_parse_signal("NONE"), -EINVAL);
	cr_expect_eq(spec_parse_signal(""), -EINVAL);
	cr_expect_eq(spec_parse_signal("0"), -EINVAL);
}
