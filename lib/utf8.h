/* UTF-8: JSON text must be, names and settings that users choose need not be. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character that begins there, 0 when none does. The text ends with a NUL. */
size_t utf8_length(const char *text);

bool utf8_valid(const char *text);

/* Each byte that belongs to no character becomes `?`. */
void utf8_repair(char *text);

/*
 * A text that holds every byte of this one as UTF-8: `\xHH` for each that belongs to no character, and for each `also`
 * ('\0': none). With `also` a backslash, utf8_unescape gives exactly the same bytes back. Caller frees.
 */
char *utf8_escape(const char *text, char also);
/* In place. A backslash that begins no `\xHH` stands for itself. */
void utf8_unescape(char *text);
