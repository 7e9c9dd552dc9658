#include "agent/base64.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

int base64_decode(const char *text, size_t limit, unsigned char **data, size_t *length)
{
	size_t size = strlen(text);
	if (size / 4 * 3 > limit)
		return -EINVAL;
	gnutls_datum_t decoded, encoded = { .data = (unsigned char *)text, .size = (unsigned)size };
	int status = gnutls_base64_decode2(&encoded, &decoded);
	if (status == GNUTLS_E_MEMORY_ERROR)
		return -ENOMEM;
	if (status < 0)
		return -EINVAL;
	*data = malloc((size_t)decoded.size + 1);
	if (*data && decoded.size)
		memcpy(*data, decoded.data, decoded.size);
	*length = decoded.size;
	gnutls_free(decoded.data);
	return *data ? 0 : -ENOMEM;
}
