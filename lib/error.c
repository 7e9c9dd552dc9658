#include "lib/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...)
{
	if (err) {
		va_list args;
		va_start(args, format);
		err->code = code;
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
	}
	return -code;
}

int error_sys(struct error *err, int code, const char *format, ...)
{
	if (err) {
		char text[400], reason[96] = "";
		va_list args;
		va_start(args, format);
		vsnprintf(text, sizeof(text), format, args);
		va_end(args);
		err->code = code;
		snprintf(err->text, sizeof(err->text), "%s: %s", text,
			 strerror_r(code, reason, sizeof(reason)));
	}
	return -code;
}

int error_prefix(struct error *err, const char *format, ...)
{
	char words[160], old[sizeof(err->text)];
	va_list args;
	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	snprintf(old, sizeof(old), "%s", err->text);
	snprintf(err->text, sizeof(err->text), "%s%.*s", words, (int)(sizeof(err->text) - sizeof(words) - 1),
		 old);
	return -err->code;
}
