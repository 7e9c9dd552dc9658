/* The instance types that providers offer: EC2's, with their real sizes and prices. */
#pragma once

#include <stddef.h>

#include "cloud/cloud.h"

/* Never changes, never freed. Ordered by family, then size. */
const struct cloud_type *cloud_type_table(size_t *count);
