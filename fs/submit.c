#include "fs/submit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/events.h"
#include "fs/images.h"
#include "fs/op.h"
#include "fs/op_host.h"
#include "fs/secrets.h"
#include "fs/settings.h"
#include "fs/snapshots.h"
#include "fs/spec.h"
#include "fs/users.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"

enum {
	CONTAINER_DIGITS = 12, /* as long as container engines show their ids */
	WORDS_MAX = 4000,      /* an agent takes 4,096, with those that floatfs adds */
};

/* What the settings make of the record. */
struct submission {
	struct job *job;
	struct record record;
	const struct cloud_type *type;
	struct policy policy;
};

static const struct policy default_policy = {
	.market = CLOUD_SPOT,
	.kept = SNAPSHOTS_KEPT,
	.reruns = SUBMIT_RERUNS,
};

static int check_script(struct submission *submission, struct error *err)
{
	struct stat st;
	autofree char *path = settings_path(submission->job, "script");
	if (stat(path, &st) < 0)
		return error_sys(err, errno, "the script cannot be read");
	return st.st_size > 0 ? 0 : error_set(err, EINVAL, "script is empty: copy the job's program there");
}

static int check_image(struct submission *submission, struct error *err)
{
	autofree char *name = NULL;
	struct image image;
	int status = settings_read_value(submission->job, "image", &name, err);
	if (status < 0)
		return status;
	if (!*name)
		return error_set(err, EINVAL, "image is empty: write a name from the directory images");
	if (images_find(submission->job->fs, name, &image) < 0)
		return error_set(err, ENOENT, "there is no image %.64s (see the directory images)", name);
	if (strcmp(image.status, "ready"))
		return error_set(err, EINVAL, "the image %s is not ready: its status is %.200s", name,
				 image.status);
	record_set(submission->record.image, image.name);
	record_set(submission->record.digest, image.digest);
	return 0;
}

static int check_instance(struct submission *submission, struct error *err)
{
	autofree char *text = NULL;
	struct spec_target target;
	struct floatfs *fs = submission->job->fs;
	int status = settings_read_value(submission->job, "instance", &text, err);
	if (status < 0)
		return status;
	if (!*text)
		return error_set(err, EINVAL, "instance is empty: write an instance type, or cpu=2 mem=4");
	status = spec_parse_target(text, &target, err);
	if (status == 0)
		status = spec_resolve_target(&target, fs->ops, fs->cloud, &submission->type, err);
	if (status == 0)
		record_set(submission->record.instance, submission->type->name);
	return status;
}

static int check_name(struct submission *submission, struct error *err)
{
	autofree char *name = NULL;
	int status = settings_read_value(submission->job, "name", &name, err);
	if (status < 0)
		return status;
	if (strlen(name) >= sizeof(submission->record.name))
		return error_set(err, EINVAL, "name is longer than %zu bytes",
				 sizeof(submission->record.name) - 1);
	record_set(submission->record.name, name);
	return 0;
}

static int check_environment(struct submission *submission, struct error *err)
{
	autolines char **lines = NULL;
	size_t count;
	int status = settings_read_lines(submission->job, "env", &lines, &count, err);
	if (status == 0 && count > WORDS_MAX)
		return error_set(err, EINVAL, "env has more than %d entries", WORDS_MAX);
	for (size_t i = 0; status == 0 && i < count; i++) {
		status = spec_check_environment(lines[i], err);
		if (status == 0)
			status = secrets_expand(submission->job->fs, lines[i], (uid_t)submission->record.uid,
						NULL, err);
	}
	return status;
}

static bool lies_in(const char *path, const char *other)
{
	size_t length = strlen(other);
	return !strncmp(path, other, length) && (path[length] == '/' || path[length] == '\0');
}

static int check_volumes(struct submission *submission, struct error *err)
{
	autolines char **lines = NULL;
	size_t count;
	struct record *record = &submission->record;
	int status = settings_read_lines(submission->job, "volumes", &lines, &count, err);
	if (status < 0)
		return status;
	if (count > RECORD_VOLUMES)
		return error_set(err, EINVAL, "a job has at most %d data volumes", RECORD_VOLUMES);
	record->volume_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct record_volume *volume = &record->volumes[i];
		status = spec_parse_volume(lines[i], volume, err);
		if (status < 0)
			return status;
		for (size_t j = 0; j < i; j++)
			if (lies_in(volume->mount, record->volumes[j].mount) ||
			    lies_in(record->volumes[j].mount, volume->mount))
				return error_set(err, EINVAL, "volumes: %s and %s lie in one another",
						 record->volumes[j].mount, volume->mount);
		record->volume_count++;
	}
	return 0;
}

/* `user root`: root's jobs are anyway. */
static int allow_root(struct submission *submission, const char *user, struct error *err)
{
	if (strcmp(user, "root"))
		return error_set(err, EINVAL,
				 "policy user %.40s: write user root, or leave it out to be yourself", user);
	if (submission->record.uid != 0 && !submission->job->fs->options.root_jobs)
		return error_set(err, EACCES,
				 "policy user root: only root's own jobs are root in their containers here "
				 "(floatfs -o root_jobs allows others)");
	submission->record.root = 1;
	return 0;
}

/* A line of policy as its name and value; "" where it has none. */
static const char *split_policy(char *line)
{
	char *value = line + strcspn(line, " ");
	if (*value)
		*value++ = '\0';
	return value + strspn(value, " ");
}

static int check_vm_policy(struct submission *submission, const char *value, struct error *err)
{
	return spec_parse_vm_policy(value, &submission->policy.market, err);
}

static int check_snapshots(struct submission *submission, const char *value, struct error *err)
{
	int64_t kept = snapshots_parse(value);
	if (kept < 1 || kept >= RECORD_SNAPSHOTS)
		return error_set(err, EINVAL, "policy snapshots %.20s: write how many are kept, 1 to %d",
				 value, RECORD_SNAPSHOTS - 1);
	submission->policy.kept = kept;
	return 0;
}

static int check_reruns(struct submission *submission, const char *value, struct error *err)
{
	size_t length = strspn(value, "0123456789");
	if (length == 0 || length > 3 || value[length])
		return error_set(err, EINVAL,
				 "policy rerun %.20s: write how often the job may be started again, 0 to 999",
				 value);
	submission->policy.reruns = strtoll(value, NULL, 10);
	return 0;
}

static int check_interval(struct submission *submission, const char *value, struct error *err)
{
	if (!strcmp(value, "off"))
		return submission->policy.interval_s = 0;
	if (options_parse_duration(value, &submission->policy.interval_s) < 0)
		return error_set(err, EINVAL,
				 "policy snapshotInterval %.20s: write a time such as 30m or 12h, or off",
				 value);
	return 0;
}

static const struct {
	const char *name;
	bool live; /* what it says while the job runs counts too */
	int (*check)(struct submission *submission, const char *value, struct error *err);
} policies[] = {
	{ "vmPolicy", true, check_vm_policy },  { "user", false, allow_root },
	{ "snapshots", true, check_snapshots }, { "snapshotInterval", true, check_interval },
	{ "rerun", true, check_reruns },
};

static int refuse_policy(const char *name, struct error *err)
{
	char known[128] = "";
	for (size_t i = 0; i < array_length(policies); i++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "",
			 policies[i].name);
	return error_set(err, EINVAL, "policy %.40s: it is none of those that are known: %s", name, known);
}

static int check_one_policy(struct submission *submission, char *line, bool live, struct error *err)
{
	const char *value = split_policy(line);
	for (size_t i = 0; i < array_length(policies); i++)
		if (!strcmp(policies[i].name, line))
			return live && !policies[i].live ? 0 : policies[i].check(submission, value, err);
	return refuse_policy(line, err);
}

static int read_policy(struct submission *submission, bool live, struct error *err)
{
	autolines char **lines = NULL;
	size_t count;
	submission->policy = default_policy;
	int status = settings_read_lines(submission->job, "policy", &lines, &count, err);
	for (size_t i = 0; status == 0 && i < count; i++)
		status = check_one_policy(submission, lines[i], live, err);
	return status;
}

static int check_policy(struct submission *submission, struct error *err)
{
	submission->record.root = submission->record.uid == 0;
	return read_policy(submission, false, err);
}

int submit_read_policy(struct job *job, struct policy *policy, struct error *err)
{
	struct submission submission = { .job = job };
	int status = read_policy(&submission, true, err);
	*policy = status < 0 ? default_policy : submission.policy;
	return status;
}

static int check_arguments(struct submission *submission, struct error *err)
{
	autolines char **lines = NULL;
	size_t count;
	int status = settings_read_words(submission->job, "args", &lines, &count, err);
	if (status == 0 && count > WORDS_MAX)
		return error_set(err, EINVAL, "args has more than %d entries", WORDS_MAX);
	return status;
}

static int check_tags(struct submission *submission, struct error *err)
{
	autolines char **lines = NULL;
	size_t count;
	return settings_read_lines(submission->job, "tags", &lines, &count, err);
}

static int (*const checks[])(struct submission *submission, struct error *err) = {
	check_script,  check_image,     check_instance, check_name,   check_environment,
	check_volumes, check_arguments, check_tags,     check_policy,
};

/* Every wrong setting has its sentence, parted by semicolons; the errno is the first one's. */
static int check_all(struct submission *submission, struct error *err)
{
	int first = 0;
	char text[2048] = "";
	for (size_t i = 0; i < array_length(checks); i++) {
		struct error one = { 0 };
		int status = checks[i](submission, &one);
		if (status == 0)
			continue;
		first = first ? first : status;
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "%s%s", used ? "; " : "", one.text);
	}
	return first ? error_set(err, -first, "%s", text) : 0;
}

static int submit(struct job *job, struct error *err)
{
	struct submission submission = { .job = job };
	job_snapshot(job, &submission.record);
	if (!job_is_draft(&submission.record))
		return error_set(err, EOPNOTSUPP, "job %s was started already: its status is %s",
				 submission.record.id, submission.record.status);
	int status = check_all(&submission, err);
	if (status < 0)
		return status;
	struct record *record = &submission.record;
	if (!record->name[0])
		snprintf(record->name, sizeof(record->name), "%s-%s", record->image, submission.type->name);
	record->submit_ns = clock_now_ns();
	random_text(record->container, CONTAINER_DIGITS, "0123456789abcdef");
	struct record_op op = { 0 };
	op_host_plan(&op, submission.type->name, submission.policy.market);

	job_lock(job);
	struct record before = job->record;
	if (!job_is_draft(&job->record) || job->operating)
		status = error_set(err, EBUSY, "job %s is being started", record->id);
	else
		status = users_check_volumes_locked(job->fs, record, err);
	if (status == 0)
		job->record = *record;
	users_count_locked(job);
	job_unlock(job);
	if (status < 0)
		return status;
	status = op_begin(job, &op_start, &op, "Initializing", err);
	if (status < 0) {
		job_lock(job);
		job->record = before;
		users_count_locked(job);
		job_unlock(job);
	}
	return status;
}

int submit_job(struct job *job, struct error *err)
{
	/* What is checked is what is started. */
	pthread_mutex_lock(&job->settings_lock);
	int status = submit(job, err);
	pthread_mutex_unlock(&job->settings_lock);
	return status;
}

int submit_again(struct job *job, struct error *err)
{
	struct record record;
	struct policy policy;
	struct error reading = { 0 };
	job_snapshot(job, &record);
	if (submit_read_policy(job, &policy, &reading) < 0)
		log_info("job %s: %s", record.id, reading.text);
	struct record_op op = { 0 };
	op_host_plan(&op, record.instance, policy.market);
	return op_begin(job, &op_start, &op, "Initializing", err);
}
