/*
 * The fault switch (option fault=): STEP:KIND+…. STEP is OPERATION.STEP of a table of op.h, or one of those that agents carry out
 * inside the frozen sections, and KIND is what happens before it is taken, once (faults.c). Or STEP is OPERATION.unsavedN or
 * OPERATION.savedN, before and after the operation's Nth write of a job's record, and KIND is kill. Any thread may call these.
 */
#pragma once

#include <json-c/json.h>

#include "lib/error.h"

struct faults;
struct job;

/* faults_free; -EINVAL with a sentence. */
int faults_parse(const char *text, struct faults **faults, struct error *err);
void faults_free(struct faults *faults);
/* All steps with their kinds, a line each, on standard output; 0 or -EIO. */
int faults_print(void);

/* Does what is due before that step; -EIO when the step is to fail. */
int faults_strike(struct job *job, const char *operation, const char *step, struct error *err);
/* For who writes a job's record. operation: "" between them, when it is named idle. */
enum faults_save { FAULTS_BEFORE_SAVE, FAULTS_AFTER_SAVE };
void faults_strike_save(struct faults *faults, const char *operation, enum faults_save when);
/*
 * How the next answer of an agent to that job's operation goes wrong; NULL: it does not. FAULTS_TWICE: it is asked twice. All else
 * goes with the request as VERB FAULTS_ANSWER:KIND.
 */
const char *faults_take_answer(struct faults *faults, const char *job);
#define FAULTS_TWICE  "twice"
#define FAULTS_ANSWER "-answer"

/* Those due inside the operation's frozen section, as the agents take them (agent/API.md, `faults`); caller puts. */
json_object *faults_take_agents(struct faults *faults, const char *operation);
