/*
 * SIGHUP: floatfs executes its program anew in its own process, for an upgrade. The mount lives on with its holder, and the
 * new program takes it over (holder.h).
 */
#pragma once

#include <stdbool.h>

#include "lib/error.h"

struct restart {
	char *program;   /* by its path: whatever stands there then */
	char *directory; /* that the arguments are relative to */
	int network;     /* a provider may have changed to another */
	char **words;    /* borrowed */
	bool is_one;     /* we are what was executed: in the background already, if we are to be */
};

/* At the start, before the directory changes. */
int restart_prepare(struct restart *restart, char **words, struct error *err);
/* Returns when it failed. */
int restart_execute(const struct restart *restart, struct error *err);
void restart_free(struct restart *restart);
