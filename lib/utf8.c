#include "lib/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t utf8_length(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	if (at[0] < 0x80)
		return 1;
	size_t length = at[0] >= 0xf0 && at[0] <= 0xf4 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc2 ? 2 : 0;
	if (at[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates and what is past U+10FFFF. */
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return length;
}

bool utf8_valid(const char *text)
{
	for (size_t length; *text; text += length)
		if (!(length = utf8_length(text)))
			return false;
	return true;
}

void utf8_repair(char *text)
{
	while (*text) {
		size_t length = utf8_length(text);
		if (!length)
			*text = '?';
		text += length ? length : 1;
	}
}

char *utf8_escape(const char *text, char also)
{
	char *copy = malloc(strlen(text) * 4 + 1), *to = copy;
	if (!copy)
		abort();
	for (const char *at = text; *at;) {
		size_t length = *at == also ? 0 : utf8_length(at);
		if (length == 0) {
			to += sprintf(to, "\\x%02x", (unsigned char)*at++);
			continue;
		}
		memcpy(to, at, length);
		to += length;
		at += length;
	}
	*to = '\0';
	return copy;
}

static int hex_digit(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = digit ? strchr(digits, digit) : NULL;
	return at ? (int)(at - digits) : -1;
}

void utf8_unescape(char *text)
{
	char *to = text;
	for (const char *at = text; *at;) {
		int high = at[0] == '\\' && at[1] == 'x' ? hex_digit(at[2]) : -1;
		int low = high < 0 ? -1 : hex_digit(at[3]);
		/* A name holds no NUL. */
		if (low < 0 || high + low == 0) {
			*to++ = *at++;
			continue;
		}
		*to++ = (char)(high << 4 | low);
		at += 4;
	}
	*to = '\0';
}
