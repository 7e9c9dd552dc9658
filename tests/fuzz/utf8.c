/* UTF-8, against what iconv(3) thinks of it. */
#include "lib/utf8.h"

#include <iconv.h>

#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

static bool iconv_takes(char *text)
{
	static iconv_t converter;
	size_t left = strlen(text), room = 4 * left + 8;
	autofree char *wide = malloc(room);
	char *out = wide;
	if (!converter)
		fuzz_check((converter = iconv_open("UTF-32LE", "UTF-8")) != (iconv_t)-1);
	iconv(converter, NULL, NULL, NULL, NULL);
	return iconv(converter, &text, &left, &out, &room) != (size_t)-1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = fuzz_text(data, size), *repaired = fuzz_text(data, size);
	bool valid = utf8_valid(text);
	fuzz_check(valid == iconv_takes(text));
	utf8_repair(repaired);
	fuzz_check(utf8_valid(repaired) && strlen(repaired) == strlen(text));
	fuzz_check(!valid || !strcmp(repaired, text));
	return 0;
}
