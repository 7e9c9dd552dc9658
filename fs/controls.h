/* What a write to a control does. Each checks, records and answers; rows of tree.c point here. Any thread. */
#pragma once

#include "fs/tree.h"

typedef int controls_write(struct floatfs *fs, const struct node *node, const struct caller *caller,
			   const char *text, struct error *err);

controls_write controls_job;     /* jobs/ID/ctl */
controls_write controls_migrate; /* jobs/ID/migrate */
controls_write controls_image;   /* images/NAME/ctl */
