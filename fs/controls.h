/*
 * What a write to a control does. Each checks, records and answers; rows of tree.c point here. Any thread. What was carried
 * out and not answered before a floatfs died is asked again (struct caller): it is answered, and not done twice.
 */
#pragma once

#include "fs/tree.h"

typedef int controls_write(struct floatfs *fs, const struct node *node, const struct caller *caller,
			   const char *text, struct error *err);

controls_write controls_job;     /* jobs/ID/ctl */
controls_write controls_migrate; /* jobs/ID/migrate */
controls_write controls_host;    /* hosts/i-…/ctl */
controls_write controls_image;   /* images/NAME/ctl */

/* The rest of a command after its verb, or NULL when the verb is another. */
const char *controls_argument(const char *text, const char *verb);

/*
 * A command to a job begins, and ends with that status, which is returned. `begin` returns false when this very write was
 * carried out before, and notes it in the record, to be saved with what it does; a refusal takes that back.
 */
bool controls_begin(struct job *job, const struct caller *caller);
int controls_end(struct job *job, const struct caller *caller, int status);

/* Verbs of ctl, which sees to the job's status. (controls_suspend.c) */
int controls_suspend(struct job *job, const struct caller *caller, const char *argument, struct error *err);
int controls_checkpoint(struct job *job, const struct caller *caller, const char *argument,
			struct error *err);
int controls_resume(struct job *job, const struct caller *caller, const char *argument, struct error *err);

/* -ENOMEM when the type has no room for what the job holds, in bytes. (controls_migrate.c) */
int controls_check_room(const struct cloud_type *type, int64_t held, struct error *err);

/*
 * Begin the migration of an executing job to that type; target is what `migrate` reads afterwards, NULL: as it was.
 * Success too when it is on its way to that type already. (controls_migrate.c)
 */
int controls_move(struct job *job, const struct cloud_type *type, const char *target, struct error *err);
