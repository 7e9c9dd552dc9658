/* Every provider's table, for cloud.c alone. */
#pragma once

#include "cloud/cloud.h"

extern const struct cloud_ops local_ops;
