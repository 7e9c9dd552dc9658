/*
 * What a job asks on its own /float, as its agent passes it on. It is answered in JSON, whatever it was, and says nothing
 * of another job.
 */
#include "fs/tree.h"
#include "lib/json.h"
#include "tests/fuzz/daemon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char secret[17];
	struct job *job = daemon_draft();
	if (!secret[0]) {
		autojob struct job *other = job_find(job->fs, "two");
		random_text(secret, sizeof(secret) - 1, "abcdefghijklmnopqrstuvwxyz");
		record_set(other->record.name, secret);
	}
	job->error[0] = '\0';
	autojson json_object *ask = NULL, *answer = json_object_new_object(), *read = NULL;
	if (json_parse_object((const char *)data, size, &ask, NULL) < 0)
		return -1;
	tree_answer_job(job, ask, answer);
	int64_t code = json_get_int(answer, "errno", -1);
	fuzz_check(code >= 0 && code < 4096);
	fuzz_check(job_is_draft(&job->record));
	const char *text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN);
	fuzz_check(json_parse_object(text, strlen(text), &read, NULL) == 0);
	fuzz_check(!strstr(json_get_string(answer, "data", ""), secret));
	return 0;
}
