#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>

#include "fs/faults.h"
#include "fs/job.h"
#include "lib/cleanup.h"

static struct floatfs faulty = { .lock = PTHREAD_MUTEX_INITIALIZER };
static struct job struck = { .fs = &faulty };

static int strike(const char *operation, const char *step)
{
	struct error err = { 0 };
	return faults_strike(&struck, operation, step, &err);
}

Test(faults, are_due_once)
{
	struct error err = { 0 };
	cr_expect_eq(strike("migrate", "dump"), 0);
	cr_assert_eq(faults_parse("migrate.host:error+migrate.dump:error", &faulty.faults, &err), 0, "%s",
		     err.text);
	cr_expect_eq(strike("migrate", "prepare"), 0);
	cr_expect_eq(strike("migrate", "host"), -EIO);
	cr_expect_eq(strike("migrate", "host"), 0);
	cr_expect_eq(strike("migrate", "dump"), -EIO);
	faults_free(faulty.faults);
}

Test(faults, that_there_are_not_are_refused)
{
	static const char *const wrong[] = { "",
					     "migrate",
					     "migrate.host",
					     "migrate.host:",
					     "migrate.nowhere:error",
					     "migrate.host:nothing",
					     "migrate.dump:target",
					     "migrate.host:error+",
					     "host:error",
					     "migratex.host:error",
					     "migrate.saved:kill",
					     "migrate.saved0:kill",
					     "migrate.saved1x:kill",
					     "migrate.saved1:error",
					     "migrate.host1:kill",
					     "nothing.saved1:kill" };
	for (size_t i = 0; i < array_length(wrong); i++) {
		struct error err = { 0 };
		cr_expect_eq(faults_parse(wrong[i], &faulty.faults, &err), -EINVAL, "%s", wrong[i]);
		cr_expect_null(faulty.faults);
	}
}

Test(faults, of_the_agents_are_handed_on)
{
	struct error err = { 0 };
	cr_assert_eq(faults_parse("suspend.release:error+suspend.volume:error+resume.restore:kill",
				  &faulty.faults, &err),
		     0, "%s", err.text);
	autojson json_object *due = faults_take_agents(faulty.faults, "suspend"),
			     *none = faults_take_agents(faulty.faults, "suspend"),
			     *other = faults_take_agents(faulty.faults, "resume");
	cr_expect_str_eq(json_object_to_json_string_ext(due, JSON_C_TO_STRING_PLAIN), "[\"release:error\"]");
	cr_expect_str_eq(json_object_to_json_string_ext(none, JSON_C_TO_STRING_PLAIN), "[]");
	cr_expect_str_eq(json_object_to_json_string_ext(other, JSON_C_TO_STRING_PLAIN), "[\"restore:kill\"]");
	cr_expect_eq(strike("suspend", "volume"), -EIO);
	faults_free(faulty.faults);
}

static void save_three_times(const char *fault)
{
	struct error err = { 0 };
	cr_assert_eq(faults_parse(fault, &faulty.faults, &err), 0, "%s", err.text);
	for (int i = 0; i < 3; i++) {
		faults_strike_save(faulty.faults, "migrate", FAULTS_BEFORE_SAVE);
		faults_strike_save(faulty.faults, "migrate", FAULTS_AFTER_SAVE);
		faults_strike_save(faulty.faults, "", FAULTS_BEFORE_SAVE);
	}
}

Test(faults, at_a_save_are_counted)
{
	save_three_times("migrate.saved4:kill+suspend.saved1:kill+idle.saved1:kill");
	faults_free(faulty.faults);
}

Test(faults, at_a_save_kill, .signal = SIGKILL)
{
	save_three_times("migrate.unsaved3:kill");
}

Test(faults, between_operations_kill, .signal = SIGKILL)
{
	save_three_times("idle.unsaved2:kill");
}
