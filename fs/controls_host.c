/* A write to hosts/i-…/ctl, by root. */
#include <errno.h>
#include <string.h>

#include "fs/controls.h"
#include "fs/events.h"
#include "fs/follow.h"
#include "fs/job.h"
#include "fs/op_host.h"
#include "fs/values.h"
#include "lib/cleanup.h"

/* As a cloud that wants its machine back would: the job goes to another of the same type. */
static int reclaim(struct job *job, const struct host_view *host, struct error *err)
{
	const struct cloud_type *type = cloud_find_type(job->fs->ops, job->fs->cloud, host->instance);
	if (!type)
		return error_set(err, EINVAL, "there is no instance type %s any more", host->instance);
	if (strcmp(host->status, "running"))
		return error_set(err, EOPNOTSUPP, "host %s is not running a job: its status is %s", host->id,
				 host->status);
	int status = controls_move(job, type, NULL, err);
	if (status == 0)
		events_write(job, "Host %s is reclaimed, as its administrator asked", host->id);
	return status;
}

/* As if it broke down. It is gone when the write returns. */
static int terminate(struct job *job, const struct host_view *host, struct error *err)
{
	events_write(job, "Host %s is terminated, as its administrator asked", host->id);
	int status = op_host_destroy(job, host->id, err);
	if (status == 0 && follow_note_lost(job, host->id, "is gone"))
		op_settle(job);
	return status;
}

static const struct {
	const char *verb;
	int (*run)(struct job *job, const struct host_view *host, struct error *err);
} verbs[] = {
	{ "reclaim", reclaim },
	{ "terminate", terminate },
};

int controls_host(struct floatfs *fs, const struct node *node, const struct caller *caller, const char *text,
		  struct error *err)
{
	struct host_view host;
	if (caller->uid != 0)
		return error_set(err, EACCES, "only root reclaims or terminates hosts");
	autojob struct job *job =
	    values_find_host_serial(fs, node->serial, &host) == 0 ? job_find(fs, host.job) : NULL;
	/* Which is what both verbs ask for. */
	if (!job)
		return caller->again ? 0 : error_set(err, ENOENT, "the host is gone");
	for (size_t i = 0; i < array_length(verbs); i++)
		if (!strcmp(text, verbs[i].verb))
			return controls_begin(job, caller)
				   ? controls_end(job, caller, verbs[i].run(job, &host, err))
				   : 0;
	return error_set(err, EINVAL, "%.40s is not a command: write reclaim or terminate", text);
}
