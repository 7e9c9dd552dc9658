/* What a cloud gives a machine: user-data, a line `--`, meta-data. They become the file that the agent reads. */
#include <sched.h>

#include "cloud/guest/enrolment.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The host's name is set: of a machine of our own. */
	static int unshared;
	if (!unshared)
		fuzz_check(unshare(CLONE_NEWUTS) == 0);
	unshared = 1;
	const char *directory = fuzz_scratch();
	autofree char *text = fuzz_text(data, size);
	autofree char *user = format_string("%s/user-data", directory),
		      *meta = format_string("%s/meta-data", directory),
		      *path = format_string("%s/enrolment.json", directory);
	char *split = strstr(text, "\n--\n");
	if (!split)
		return -1;
	*split = '\0';
	unlink(path);
	fuzz_write(user, text, strlen(text));
	fuzz_write(meta, split + 4, size - (size_t)(split + 4 - text));
	struct error err = { 0 };
	if (enrolment_write(directory, &err) < 0) {
		fuzz_check(err.text[0]);
		return 0;
	}
	autojson json_object *made = NULL;
	fuzz_check(access(user, F_OK) < 0);
	fuzz_check(json_read_file(path, &made, &err) == 0);
	fuzz_check(json_get_string(made, "host", NULL) && json_get_string(made, "address", NULL));
	/* The machine starts again. */
	fuzz_check(enrolment_write(directory, &err) == 0);
	return 0;
}
