/* Base64, as scripts come in JSON. Any thread. */
#pragma once

#include <stddef.h>

/* *data is the caller's to free. -EINVAL: it is none, or holds more than limit. */
int base64_decode(const char *text, size_t limit, unsigned char **data, size_t *length);
