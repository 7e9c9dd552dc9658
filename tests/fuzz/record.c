/* A job's record.json. What is taken is the same when it is written and read again. */
#include "fs/record.h"

#include "fs/spec.h"
#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record first, second, third;
	struct error err = { 0 };
	autofree char *path = format_string("%s/record.json", fuzz_scratch());
	if (record_load(fuzz_file(data, size), &first, &err) < 0) {
		fuzz_check(err.text[0]);
		return 0;
	}
	fuzz_check(spec_name_ok(first.id) && first.serial > 0 && first.status[0]);
	fuzz_check(first.volume_count >= 0 && first.volume_count <= RECORD_VOLUMES);
	fuzz_check(record_save(path, &first, &err) == 0 && record_load(path, &second, &err) == 0);
	/* A text may have been cut within a character the first time. */
	fuzz_check(record_save(path, &second, &err) == 0 && record_load(path, &third, &err) == 0);
	fuzz_check(!memcmp(&second, &third, sizeof(third)));
	return 0;
}
