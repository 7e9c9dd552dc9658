/* What the entries of a snapshot show. */
#include <errno.h>

#include "fs/job.h"
#include "fs/snapshots.h"
#include "fs/values.h"
#include "lib/clock.h"

static int read_snapshot(struct floatfs *fs, const struct node *node, struct record_snapshot *snapshot)
{
	struct record record;
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return -ENOENT;
	job_snapshot(job, &record);
	const struct record_snapshot *found = snapshots_find(&record, node->generation);
	if (!found)
		return -ENOENT;
	*snapshot = *found;
	return 0;
}

int values_snapshot_time(struct floatfs *fs, const struct node *node, FILE *out)
{
	struct record_snapshot snapshot;
	char text[CLOCK_TEXT_SIZE];
	int status = read_snapshot(fs, node, &snapshot);
	if (status < 0)
		return status;
	clock_format(snapshot.taken_ns, 9, text);
	fprintf(out, "%s\n", text);
	return 0;
}

int values_snapshot_size(struct floatfs *fs, const struct node *node, FILE *out)
{
	struct record_snapshot snapshot;
	int status = read_snapshot(fs, node, &snapshot);
	if (status == 0)
		fprintf(out, "%lld\n", (long long)snapshot.bytes);
	return status;
}

int values_snapshot_host(struct floatfs *fs, const struct node *node, FILE *out)
{
	struct record_snapshot snapshot;
	int status = read_snapshot(fs, node, &snapshot);
	if (status == 0)
		fprintf(out, "%s %s\n", snapshot.host, snapshot.instance);
	return status;
}
