/*
 * What the job's cgroup may have: less memory and fewer processes than its host, so that the agent can work
 * whatever the job does; and of devices those that stand in its /dev. cgroup_make sets them. What cannot be
 * set is in the log. Any thread.
 */
#pragma once

#include <json-c/json.h>

void cgroup_set_limits(void);

/* Adds to an exit (API.md) what of it the job ran into on this host: "oom", "pids". */
void cgroup_note_limits(json_object *exit);
