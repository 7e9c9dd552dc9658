/*
 * A process image is good for one time: once the job may have gone on from it, the volumes are not of its instant any more. So
 * that is noted in it, durably, before its tasks run: whoever comes later, on whatever host, must not begin there again. The
 * image of a snapshot, which has volumes of its own, is never spent.
 */
#pragma once

#include "agent/layout.h"
#include "lib/error.h"

/* -EOWNERDEAD when it was spent before. */
int spent_note(const struct layout *layout, struct error *err);
/* It did not go on from it. */
void spent_withdraw(const struct layout *layout);
