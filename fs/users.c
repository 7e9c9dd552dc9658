#include "fs/users.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/op_host.h"

struct user *users_get_locked(struct floatfs *fs, uid_t uid)
{
	struct user *user = fs->users;
	while (user && user->uid != uid)
		user = user->next;
	if (user)
		return user;
	user = calloc(1, sizeof(*user));
	if (!user)
		abort();
	user->uid = uid;
	user->next = fs->users;
	fs->users = user;
	return user;
}

void users_free_all(struct floatfs *fs)
{
	while (fs->users) {
		struct user *user = fs->users;
		fs->users = user->next;
		free(user);
	}
}

void users_set_error(struct floatfs *fs, uid_t uid, const char *text)
{
	pthread_mutex_lock(&fs->lock);
	record_set(users_get_locked(fs, uid)->error, text);
	pthread_mutex_unlock(&fs->lock);
}

/* What was never started has none, what could not be started none any more. */
static int64_t volumes_gb(const struct record *record)
{
	if (!record->container[0] || (job_has_ended(record) && !record->work_volume[0]))
		return 0;
	int64_t sum = OP_WORK_GIB;
	for (int64_t i = 0; i < record->volume_count; i++)
		sum += record->volumes[i].size_gb;
	return sum;
}

int users_check_jobs_locked(struct floatfs *fs, uid_t uid, struct error *err)
{
	int64_t limit = fs->options.quota_jobs;
	if (uid == 0 || limit == 0 || users_get_locked(fs, uid)->jobs < limit)
		return 0;
	return error_set(
	    err, EDQUOT,
	    "you have %lld jobs, and may have no more: forget one that has ended (rmdir jobs/ID)",
	    (long long)limit);
}

int users_check_volumes_locked(struct floatfs *fs, const struct record *record, struct error *err)
{
	int64_t limit = fs->options.quota_size, used = users_get_locked(fs, (uid_t)record->uid)->volume_gb;
	int64_t wanted = OP_WORK_GIB;
	for (int64_t i = 0; i < record->volume_count; i++)
		wanted += record->volumes[i].size_gb;
	if (record->uid == 0 || limit == 0 || used + wanted <= limit)
		return 0;
	return error_set(
	    err, EDQUOT,
	    "the volumes of this job take %lld GB (%d of them its root's), those of your other jobs "
	    "%lld, and you may have %lld: ask for less, or forget a job that has ended",
	    (long long)wanted, OP_WORK_GIB, (long long)used, (long long)limit);
}

void users_count_locked(struct job *job)
{
	struct user *user = users_get_locked(job->fs, (uid_t)job->record.uid);
	bool counts = !job->forgotten;
	int64_t gb = counts ? volumes_gb(&job->record) : 0;
	user->jobs += counts - job->counted;
	user->volume_gb += gb - job->counted_gb;
	job->counted = counts;
	job->counted_gb = gb;
}
