/* The fault switch, of the frozen sections (API.md, `faults`; fs/faults.c has them all). */
#pragma once

#include <json-c/json.h>

#include "lib/error.h"

/* How the answer to that request is to go wrong: `half` or `garbage`; NULL: it is not. Borrowed from faults. */
const char *faults_of_answer(json_object *faults, const char *verb);

/* Does what is due before that step: faults is an array of "STEP:KIND", or NULL. -EIO: the step is to fail. directory is the
 * job's. */
int faults_strike(json_object *faults, const char *step, const char *directory, struct error *err);
