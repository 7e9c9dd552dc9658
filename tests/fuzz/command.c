/* One write(2) to a control of a draft; the first letter says to which. A draft that is not whole takes none. */
#include "fs/tree.h"
#include "tests/fuzz/daemon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct job *job = daemon_draft();
	struct node node = { .serial = job->serial };
	if (size == 0 || (data[0] != 'c' && data[0] != 'm'))
		return -1;
	node.kind = data[0] == 'c' ? TREE_CTL : TREE_MIGRATE;
	job->error[0] = '\0';
	int status = tree_command(job->fs, &node, &(struct caller){ .uid = 1000 }, data + 1, size - 1);
	fuzz_check(status < 0 && status > -4096);
	fuzz_check(job->error[0] && !strchr(job->error, '\n'));
	fuzz_check(job_is_draft(&job->record) && !job->record.target[0] && !job->operating);
	return 0;
}
