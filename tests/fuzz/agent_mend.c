/* criu's images: `core` or `file` in four bytes, then the image as it was dumped. Mended twice is mended once. */
#include "agent/mend.h"

#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		const char *word, *name;
	} kinds[] = { { "core", "core-1.img" }, { "file", "files.img" } };
	if (size < 4)
		return -1;
	for (size_t i = 0; i < array_length(kinds); i++) {
		if (memcmp(data, kinds[i].word, 4))
			continue;
		struct error err = { 0 };
		autofree char *directory = format_string("%s/image", fuzz_scratch());
		autofree char *path = format_string("%s/%s", directory, kinds[i].name);
		autofree char *once = NULL, *twice = NULL;
		size_t once_size, twice_size;
		fuzz_check(file_make_directories(directory, 0700) == 0);
		fuzz_write(path, data + 4, size - 4);
		if (mend_image(directory, NULL, &err) == 0) {
			fuzz_check(file_read(path, 1 << 24, &once, &once_size) == 0);
			fuzz_check(mend_image(directory, NULL, &err) == 0);
			fuzz_check(file_read(path, 1 << 24, &twice, &twice_size) == 0);
			fuzz_check(once_size == twice_size && !memcmp(once, twice, once_size));
		} else {
			fuzz_check(err.text[0]);
		}
		unlink(path);
		return 0;
	}
	return -1;
}
