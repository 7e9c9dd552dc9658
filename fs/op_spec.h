/* What an agent is told of a job: SPEC of agent/API.md. Any thread may call these. */
#pragma once

#include <json-c/json.h>

#include "fs/job.h"

/* What is about the job's volumes: enough to look at its files. Caller puts. */
json_object *op_spec_of_files(const struct record *record);
/* All of it; process is "" for a job that is to be started: only then its environment is told. Caller puts. */
int op_spec(struct job *job, const char *process, json_object **spec, struct error *err);
