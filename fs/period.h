/* The policy snapshotInterval: a snapshot of a running job is taken whenever its last is so old. */
#pragma once

#include "fs/fs.h"

/* Starts the thread that does it. */
int period_start(struct floatfs *fs, struct error *err);
