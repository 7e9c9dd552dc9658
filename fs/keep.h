/* -o keep=TIME: ended jobs are forgotten so long after their end. */
#pragma once

#include "fs/fs.h"

/* Starts the thread that does it, where the option asks for it. */
int keep_start(struct floatfs *fs, struct error *err);
