/* What a write to a control does. Each checks, records and answers; rows of tree.c point here. Any thread. */
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

/* Verbs of ctl, which sees to the job's status. (controls_suspend.c) */
int controls_suspend(struct job *job, const char *argument, struct error *err);
int controls_checkpoint(struct job *job, const char *argument, struct error *err);
int controls_resume(struct job *job, const char *argument, struct error *err);

/* -ENOMEM when the type has no room for what the job holds, in bytes. (controls_migrate.c) */
int controls_check_room(const struct cloud_type *type, int64_t held, struct error *err);

/*
 * Begin the migration of an executing job to that type; target is what `migrate` reads afterwards, NULL: as it was.
 * Success too when it is on its way to that type already. (controls_migrate.c)
 */
int controls_move(struct job *job, const struct cloud_type *type, const char *target, struct error *err);
