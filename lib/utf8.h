/* UTF-8: JSON text must be, names and settings that users choose need not be. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character that begins there, 0 when none does. The text ends with a NUL. */
size_t utf8_length(const char *text);

bool utf8_valid(const char *text);

/* Each byte that belongs to no character becomes `?`. */
void utf8_repair(char *text);
