/* What the layout's files share; nobody else includes this. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/layout.h"

enum { LAYOUT_DEVICE_WAIT_MS = 10000 };

bool layout_is_mounted(const char *path);

/* As mkdir -p inside the root, whose links lead nowhere but into itself; an O_PATH descriptor of it, or
 * -errno. */
int layout_make_in_root(int root, const char *path, mode_t mode);

/* The subvolumes of each volume that is not mounted yet. (layout_volumes.c) */
int layout_make_subvolumes(struct layout *layout, int timeout_ms, struct error *err);
