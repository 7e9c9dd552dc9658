#include "agent/faults.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/reboot.h>

#include "agent/keeper_client.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/stand.h"

static void kill_agent(const char *directory)
{
	(void)directory;
	raise(SIGKILL);
}

static void stop_agent(const char *directory)
{
	(void)directory;
	stand_still();
}

/* As if its power went: whatever the host is (of a pid namespace it ends the first process, reboot(2)). */
static void lose_host(const char *directory)
{
	(void)directory;
	if (reboot(RB_POWER_OFF) < 0)
		log_error("the host cannot be turned off: %s", strerror(errno));
}

static const struct {
	const char *name;
	void (*strike)(const char *directory); /* NULL: the step fails */
} kinds[] = {
	{ "error", NULL },         { "kill", kill_agent }, { "stop", stop_agent },
	{ "keeper", keeper_kill }, { "host", lose_host },
};

/* Its kind, behind the colon; NULL: none is asked for. */
static const char *find_fault(json_object *faults, const char *step)
{
	size_t length = strlen(step);
	for (size_t i = 0; faults && i < json_object_array_length(faults); i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(faults, i));
		if (text && !strncmp(text, step, length) && text[length] == ':')
			return text + length + 1;
	}
	return NULL;
}

int faults_strike(json_object *faults, const char *step, const char *directory, struct error *err)
{
	const char *kind = find_fault(faults, step);
	for (size_t i = 0; kind && i < array_length(kinds); i++) {
		if (strcmp(kind, kinds[i].name))
			continue;
		if (!kinds[i].strike)
			return error_set(err, EIO, "the step %s fails because a fault was asked for", step);
		kinds[i].strike(directory);
	}
	return 0;
}
