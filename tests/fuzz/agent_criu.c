/* The reason of a failure out of criu's log. The first byte is the room for it. */
#include "agent/criu_reason.h"

#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return -1;
	size_t room = (size_t)data[0] + 1;
	autofree char *log = fuzz_text(data + 1, size - 1), *sentence = malloc(room);
	criu_reason(log, sentence, room);
	fuzz_check(memchr(sentence, '\0', room) && !strchr(sentence, '\n'));
	fuzz_check(room == 1 || sentence[0]);
	return 0;
}
