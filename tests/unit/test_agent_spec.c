/* The agent's SPEC: what is refused, and with which sentence; and the reason out of criu's log. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/spec.h"
#include "lib/json.h"

static const char good[] =
    "{\"id\":\"3VtsHXydPbtIIBxjgULXc\",\"hostname\":\"job\",\"uid\":1000,\"gid\":100,\"image\":\"img-"
    "0123456789abcdef\","
    "\"work\":\"vol-1\",\"process\":\"vol-2\",\"data\":[{\"volume\":\"vol-3\",\"mount\":\"/data\"}],"
    "\"env\":[\"A=b\",\"C=\"],\"args\":[\"one\",\"\"],\"log\":\"/var/log/"
    "float\",\"address\":\"10.218.0.2\",\"tree\":[]}";

static struct spec *parse_with(const char *key, const char *value, struct error *err)
{
	json_object *object = NULL;
	cr_assert_eq(json_parse_object(good, strlen(good), &object, err), 0);
	if (key)
		json_object_object_add(object, key, value ? json_tokener_parse(value) : NULL);
	struct spec *spec = spec_parse(object, err);
	json_object_put(object);
	return spec;
}

static void refuses(const char *key, const char *value, const char *word)
{
	struct error err = { 0 };
	struct spec *spec = parse_with(key, value, &err);
	cr_expect_null(spec, "%s = %s was taken", key, value);
	cr_expect_neq(err.code, 0);
	cr_expect(strstr(err.text, word), "%s = %s: `%s` does not mention `%s`", key, value, err.text, word);
	spec_free(spec);
}

Test(agent_spec, takes_a_good_one)
{
	struct error err = { 0 };
	struct spec *spec = parse_with(NULL, NULL, &err);
	cr_assert_not_null(spec, "%s", err.text);
	cr_expect_str_eq(spec->id, "3VtsHXydPbtIIBxjgULXc");
	cr_expect_eq(spec->uid, 1000);
	cr_expect_eq(spec->gid, 100);
	cr_expect_eq(spec->data_count, 1);
	cr_expect_str_eq(spec->data[0].mount, "/data");
	cr_expect_str_eq(spec->process, "vol-2");
	spec_free(spec);
}

Test(agent_spec, has_defaults)
{
	struct error err = { 0 };
	struct spec *spec = parse_with("log", NULL, &err);
	cr_assert_not_null(spec, "%s", err.text);
	cr_expect_str_eq(spec->log, "/var/log/float");
	spec_free(spec);
	spec = parse_with("process", NULL, &err);
	cr_assert_not_null(spec, "%s", err.text);
	cr_expect_null(spec->process);
	spec_free(spec);
}

Test(agent_spec, takes_every_id_that_floatfs_does)
{
	struct error err = { 0 };
	struct spec *spec = parse_with("id", "\"a..b_c-.\"", &err);
	cr_assert_not_null(spec, "%s", err.text);
	spec_free(spec);
}

Test(agent_spec, refuses_bad_names)
{
	refuses("id", "\"../etc\"", "job id");
	refuses("id", "\"a/b\"", "job id");
	refuses("id", "\"\"", "job id");
	refuses("id", "7", "job id");
	refuses("hostname", "\"a b\"", "host name");
	refuses("uid", "-1", "uid");
	refuses("gid", "4294967295", "uid and gid");
	refuses("address", "\"10.1\"", "address");
	refuses("image", "\"../x\"", "serial");
	refuses("work", "\"\"", "serial");
	refuses("process", "\"vol-1\"", "named twice");
}

Test(agent_spec, refuses_bad_mounts)
{
	static const struct {
		const char *mount, *word;
	} rows[] = {
		{ "data", "absolute" },   { "/", "absolute" },         { "/a/../b", "absolute" },
		{ "/a//b", "absolute" },  { "/a/", "absolute" },       { "/./a", "absolute" },
		{ "/a\\nb", "absolute" }, { "/proc/x", "system" },     { "/dev", "system" },
		{ "/tmp", "system" },     { "/opt", "system" },        { "/float/x", "system" },
		{ "/var/log", "log" },    { "/var/log/float", "log" }, { "/var/log/float/x", "log" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char value[200];
		snprintf(value, sizeof(value), "[{\"volume\":\"vol-3\",\"mount\":\"%s\"}]", rows[i].mount);
		refuses("data", value, rows[i].word);
	}
	refuses("data", "[{\"volume\":\"vol-3\",\"mount\":\"/a\"},{\"volume\":\"vol-4\",\"mount\":\"/a\"}]",
		"one another");
	refuses("data", "[{\"volume\":\"vol-3\",\"mount\":\"/a\"},{\"volume\":\"vol-4\",\"mount\":\"/a/b\"}]",
		"one another");
	refuses("data", "[{\"volume\":\"vol-3\",\"mount\":\"/a\"},{\"volume\":\"vol-3\",\"mount\":\"/b\"}]",
		"named twice");
	refuses("data", "[{\"mount\":\"/a\"}]", "serial");
	refuses("data", "[7]", "absolute");
	refuses("log", "\"log\"", "log directory");
	refuses("log", "\"/proc/log\"", "log directory");
}

Test(agent_spec, refuses_bad_words)
{
	refuses("env", "[\"A\"]", "NAME=VALUE");
	refuses("env", "[\"=b\"]", "NAME=VALUE");
	refuses("env", "[7]", "strings");
	refuses("args", "[\"a\\u0000b\"]", "NUL");
}

Test(agent_spec, refuses_no_spec)
{
	struct error err = { 0 };
	cr_expect_null(spec_parse(NULL, &err));
	cr_expect_eq(err.code, EINVAL);
}

Test(agent_spec, knows_similar_paths_apart)
{
	struct error err = { 0 };
	struct spec *spec = parse_with(
	    "data", "[{\"volume\":\"vol-3\",\"mount\":\"/a\"},{\"volume\":\"vol-4\",\"mount\":\"/ab\"}]",
	    &err);
	cr_expect_not_null(spec, "%s", err.text);
	spec_free(spec);
}
