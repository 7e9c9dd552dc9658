#include "agent/job.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/frozen.h"
#include "agent/keeper_client.h"
#include "agent/layout.h"
#include "agent/spec.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
	DEVICE_WAIT_MS = 20000,
	UNMOUNT_MS = 5000,
	START_TIMEOUT_MS = 20000,
	CALL_TIMEOUT_MS = 60000,
	QUIT_TIMEOUT_MS = 15000,
	SCRIPT_MAX = 16 << 20,
	CONTAINER_ID_LENGTH = 12,
};

enum state { PREPARED, RUNNING, FROZEN, DUMPED, ENDED, RELEASED };

static const char *const state_names[] = {
	[PREPARED] = "prepared", [RUNNING] = "running", [FROZEN] = "frozen",
	[DUMPED] = "dumped",     [ENDED] = "ended",     [RELEASED] = "released",
};

/* Jobs stay in the list until jobs_close: a released one remembers its epoch. */
struct job {
	struct job *next;
	struct jobs *jobs;
	char id[SPEC_ID_MAX + 1];
	char *directory;
	pthread_mutex_t operation; /* one operation at a time; spec and layout are its holder's */
	struct spec *spec;         /* NULL: released */
	struct layout *layout;

	/* Guarded by jobs->mutex. */
	int64_t epoch;
	enum state state;
	bool handed; /* another host may have it */
	char *from;  /* the host that may ask `adopt`; NULL: none */
	char *container;
	json_object *exit;
	json_object *freeze; /* the last answer of float or adopt */
	bool quitting;       /* the keeper's going away is meant */
	int watch;           /* the connection on which the keeper tells the end; -1: none */
	bool watcher_joinable;
	pthread_t watcher;
};

struct jobs {
	pthread_mutex_t mutex; /* the list and what is said above; held for short */
	struct job *first;
	char *host_id;
	const struct jobs_hooks *hooks;
	void *context;
};

static char *job_path(const struct job *job, const char *name)
{
	return format_string("%s/%s", job->directory, name);
}

static void lock(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->mutex);
}

static void unlock(struct jobs *jobs)
{
	pthread_mutex_unlock(&jobs->mutex);
}

static void unlock_operation(struct job **job)
{
	if (*job)
		pthread_mutex_unlock(&(*job)->operation);
}

#define autooperation __attribute__((cleanup(unlock_operation)))

/* ---- what is recorded ---- */

static int write_epoch(const struct job *job, int64_t epoch)
{
	char text[32];
	autofree char *path = job_path(job, "epoch");
	int length = snprintf(text, sizeof(text), "%lld\n", (long long)epoch);
	return file_write_durable(path, text, (size_t)length, 0600);
}

/* With the mutex held. */
static int write_state(const struct job *job)
{
	autojson json_object *object = json_object_new_object();
	autofree char *path = job_path(job, "state.json");
	json_set_string(object, "state", state_names[job->state]);
	json_set_bool(object, "handed", job->handed);
	json_set_string(object, "from", job->from);
	json_set_string(object, "container", job->container);
	if (job->freeze)
		json_object_object_add(object, "freeze", json_object_get(job->freeze));
	int status = json_write_file(path, object, 0600);
	if (status < 0)
		log_error("cannot write %s: %s", path, strerror(-status));
	return status;
}

static void tell_changed(struct job *job)
{
	if (job->jobs->hooks)
		job->jobs->hooks->changed(job->jobs->context, job->id);
}

/* A job that has ended meanwhile is not `running` any more. */
static void set_state(struct job *job, enum state state)
{
	lock(job->jobs);
	job->state = state == RUNNING && job->exit ? ENDED : state;
	if (state == RUNNING || state == PREPARED)
		job->handed = false;
	write_state(job);
	unlock(job->jobs);
	tell_changed(job);
}

static enum state get_state(struct job *job)
{
	lock(job->jobs);
	enum state state = job->state;
	unlock(job->jobs);
	return state;
}

/* The caller of an operation may add to its answer: what others read is a copy. */
static json_object *copy_of(json_object *object)
{
	json_object *copy = NULL;
	if (object && json_object_deep_copy(object, &copy, NULL) < 0)
		abort();
	return copy;
}

static void set_freeze(struct job *job, json_object *answer)
{
	lock(job->jobs);
	json_object_put(job->freeze);
	job->freeze = copy_of(answer);
	unlock(job->jobs);
}

static void new_container(struct job *job)
{
	char id[CONTAINER_ID_LENGTH + 1];
	random_text(id, CONTAINER_ID_LENGTH, "0123456789abcdef");
	lock(job->jobs);
	free(job->container);
	job->container = format_string("%s", id);
	unlock(job->jobs);
}

/* ---- the keeper's word about the end ---- */

static void *watch_end(void *argument)
{
	struct job *job = argument;
	autojson json_object *end = NULL;
	lock(job->jobs);
	int fd = job->watch;
	unlock(job->jobs);
	int status = keeper_wait(fd, &end);

	lock(job->jobs);
	bool lost = status < 0 && !job->quitting;
	bool had_tasks = job->state == RUNNING || job->state == FROZEN;
	if (lost && had_tasks && job->state == RUNNING) {
		/* Nobody will know how it ends: end it, so that nothing runs unseen. */
		cgroup_kill();
		end = json_object_new_object();
		json_set_int(end, "signal", 9);
	}
	if (end && !job->exit) {
		job->exit = json_object_get(end);
		if (job->state == RUNNING)
			job->state = ENDED;
		write_state(job);
	}
	close(job->watch);
	job->watch = -1;
	unlock(job->jobs);
	if (lost && had_tasks)
		log_error("job %s: its keeper has gone: the job is lost on this host", job->id);
	tell_changed(job);
	return NULL;
}

static void join_watcher(struct job *job)
{
	lock(job->jobs);
	bool joinable = job->watcher_joinable;
	job->watcher_joinable = false;
	unlock(job->jobs);
	if (joinable)
		pthread_join(job->watcher, NULL);
}

static int start_watching(struct job *job, struct error *err)
{
	lock(job->jobs);
	bool watched = job->watch >= 0;
	unlock(job->jobs);
	if (watched)
		return 0;
	join_watcher(job);
	int fd = keeper_watch(job->directory);
	if (fd < 0)
		return error_sys(err, -fd, "the job's keeper cannot be reached");
	lock(job->jobs);
	job->watch = fd;
	job->quitting = false;
	job->watcher_joinable = pthread_create(&job->watcher, NULL, watch_end, job) == 0;
	bool started = job->watcher_joinable;
	if (!started)
		job->watch = -1;
	unlock(job->jobs);
	if (started)
		return 0;
	close(fd);
	return error_set(err, EAGAIN, "cannot start a thread for the job");
}

static int ensure_keeper(struct job *job, struct error *err)
{
	lock(job->jobs);
	bool watched = job->watch >= 0;
	unlock(job->jobs);
	if (watched)
		return 0;
	/* A keeper that was killed left a dead mount. */
	autofree char *tree = job_path(job, "float");
	if (keeper_call(job->directory, "state", NULL, CALL_TIMEOUT_MS, NULL, NULL) == -ECONNREFUSED)
		umount2(tree, MNT_DETACH);
	int status = keeper_start(job->directory, err);
	return status < 0 ? status : start_watching(job, err);
}

/* ---- finding a job ---- */

static struct job *new_job(struct jobs *jobs, const char *id)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		abort();
	snprintf(job->id, sizeof(job->id), "%s", id);
	job->jobs = jobs;
	job->directory = format_string("%s/%s", JOBS_DIRECTORY, id);
	job->state = RELEASED;
	job->watch = -1;
	job->epoch = -1;
	pthread_mutex_init(&job->operation, NULL);
	return job;
}

/* With the mutex held. */
static struct job *find_job(struct jobs *jobs, const char *id)
{
	for (struct job *job = jobs->first; job; job = job->next)
		if (strcmp(job->id, id) == 0)
			return job;
	return NULL;
}

/* With the mutex held. */
static int check_epoch(struct job *job, int64_t epoch, struct error *err)
{
	if (epoch < 0)
		return error_set(err, EINVAL, "a request about a job must tell its epoch");
	if (epoch < job->epoch)
		return error_set(err, ESTALE, "epoch %lld is past: this host has seen %lld of job %s",
				 (long long)epoch, (long long)job->epoch, job->id);
	if (epoch == job->epoch)
		return 0;
	int status = write_epoch(job, epoch);
	if (status < 0)
		return error_sys(err, -status, "cannot record the job's epoch");
	job->epoch = epoch;
	return 0;
}

/* The job, its epoch checked and recorded; made when create says so. */
static int open_job(struct jobs *jobs, const char *id, int64_t epoch, bool create, struct job **found,
		    struct error *err)
{
	if (!spec_id_valid(id))
		return error_set(err, EINVAL, "`%s` is no job id", id);
	lock(jobs);
	int status = 0;
	struct job *job = find_job(jobs, id);
	if (!job && create) {
		job = new_job(jobs, id);
		status = file_make_directories(job->directory, 0700);
		if (status < 0)
			error_sys(err, -status, "cannot make %s", job->directory);
		job->next = jobs->first;
		jobs->first = job;
	}
	if (!job)
		status = error_set(err, ENOENT, "there is no job %s on this host", id);
	if (status == 0)
		status = check_epoch(job, epoch, err);
	unlock(jobs);
	*found = job;
	return status;
}

/* As open_job, and takes the operation lock; the epoch may have moved on while another operation was at work.
 */
static int begin(struct jobs *jobs, const char *id, int64_t epoch, bool create, struct job **locked,
		 struct error *err)
{
	struct job *job;
	int status = open_job(jobs, id, epoch, create, &job, err);
	if (status < 0)
		return status;
	pthread_mutex_lock(&job->operation);
	lock(jobs);
	status = check_epoch(job, epoch, err);
	unlock(jobs);
	if (status == 0 && !create && !job->spec)
		status = error_set(err, ENOENT, "there is no job %s on this host", id);
	if (status < 0) {
		pthread_mutex_unlock(&job->operation);
		return status;
	}
	*locked = job;
	return 0;
}

int jobs_check_epoch(struct jobs *jobs, const char *id, int64_t epoch, struct error *err)
{
	struct job *job;
	return open_job(jobs, id, epoch, false, &job, err);
}

/* ---- prepare ---- */

/* The volume for process images is another one at each move. */
static int set_process(struct job *job, const char *serial, struct error *err)
{
	if (!serial || (job->spec->process && strcmp(serial, job->spec->process) == 0))
		return 0;
	if (!spec_id_valid(serial))
		return error_set(err, EINVAL, "`%s` is no volume's serial", serial);
	json_set_string(job->spec->json, "process", serial);
	job->spec->process = json_get_string(job->spec->json, "process", NULL);
	autofree char *path = job_path(job, "spec.json");
	int status = json_write_file(path, job->spec->json, 0600);
	return status < 0 ? error_sys(err, -status, "cannot write %s", path) : 0;
}

static void forget_files(struct job *job)
{
	autoclosedir DIR *dir = opendir(job->directory);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    strcmp(entry->d_name, "epoch") == 0)
			continue;
		autofree char *path = job_path(job, entry->d_name);
		int status = file_remove_tree(path);
		if (status < 0)
			log_warning("cannot remove %s: %s", path, strerror(-status));
	}
}

/* Everything of it away from this host but the epoch. */
static int tear_down(struct job *job, struct error *err)
{
	const struct jobs_hooks *hooks = job->jobs->hooks;
	lock(job->jobs);
	job->quitting = true;
	unlock(job->jobs);
	int status = keeper_quit(job->directory, QUIT_TIMEOUT_MS, err);
	if (status < 0)
		return status;
	join_watcher(job);
	hooks->logs_close(job->jobs->context, job->id);
	status = layout_unmount_all(job->layout, UNMOUNT_MS, err);
	if (status < 0)
		return status;
	cgroup_remove();
	hooks->released(job->jobs->context, job->id);

	lock(job->jobs);
	layout_free(job->layout);
	spec_free(job->spec);
	job->layout = NULL;
	job->spec = NULL;
	job->state = RELEASED;
	job->handed = false;
	json_object_put(job->exit);
	json_object_put(job->freeze);
	job->exit = job->freeze = NULL;
	free(take_pointer(job->from));
	free(take_pointer(job->container));
	unlock(job->jobs);
	forget_files(job);
	tell_changed(job);
	return 0;
}

static int bring_up(struct job *job, struct error *err)
{
	autofree char *path = job_path(job, "spec.json");
	int status = json_write_file(path, job->spec->json, 0600);
	if (status < 0)
		return error_sys(err, -status, "cannot write %s", path);
	status = cgroup_make(err);
	if (status == 0)
		status = layout_mount_base(job->layout, DEVICE_WAIT_MS, err);
	if (status < 0)
		return status;
	job->jobs->hooks->prepared(job->jobs->context, job->id, job->directory);
	return ensure_keeper(job, err);
}

static int prepare(struct job *job, json_object *body, struct error *err)
{
	struct spec *spec = spec_parse(json_get_object(body, "spec"), err);
	if (!spec)
		return -(err ? err->code : EINVAL);
	if (strcmp(spec->id, job->id) != 0) {
		spec_free(spec);
		return error_set(err, EINVAL, "the spec is of another job");
	}
	const char *from = json_get_string(body, "from", NULL);
	lock(job->jobs);
	free(job->from);
	job->from = from ? format_string("%s", from) : NULL;
	unlock(job->jobs);
	if (job->spec) {
		/* Here already: what may have changed is the volume for process images. */
		int status = set_process(job, spec->process, err);
		spec_free(spec);
		lock(job->jobs);
		write_state(job);
		unlock(job->jobs);
		return status;
	}
	lock(job->jobs);
	job->spec = spec;
	job->layout = layout_new(job->directory, spec);
	unlock(job->jobs);
	int status = bring_up(job, err);
	if (status < 0) {
		struct error more = { 0 };
		if (tear_down(job, &more) < 0)
			log_error("job %s: %s", job->id, more.text);
		return status;
	}
	set_state(job, PREPARED);
	return 0;
}

int jobs_prepare(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
		 struct error *err)
{
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = begin(jobs, id, epoch, true, &job, err);
	if (status == 0)
		status = prepare(job, body, err);
	if (status == 0)
		*answer = json_object_new_object();
	return status;
}

/* ---- start ---- */

static int decode_base64(const char *text, unsigned char **data, size_t *length)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t size = strlen(text);
	if (size % 4 || size / 4 * 3 > SCRIPT_MAX)
		return -EINVAL;
	autofree unsigned char *bytes = malloc(size / 4 * 3 + 1);
	size_t used = 0;
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < size; i += 4) {
		uint32_t group = 0;
		int pads = 0;
		for (size_t j = 0; j < 4; j++) {
			const char *at = text[i + j] == '=' ? NULL : strchr(letters, text[i + j]);
			/* Padding stands at the very end only. */
			if ((!at && (text[i + j] != '=' || i + 4 != size || j < 2)) || (at && pads))
				return -EINVAL;
			pads += !at;
			group = group << 6 | (at ? (uint32_t)(at - letters) : 0);
		}
		for (int j = 0; j < 3 - pads; j++)
			bytes[used++] = (unsigned char)(group >> (16 - 8 * j));
	}
	*length = used;
	*data = take_pointer(bytes);
	return 0;
}

static int64_t realtime_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int start(struct job *job, json_object *body, json_object **answer, struct error *err)
{
	const struct jobs_hooks *hooks = job->jobs->hooks;
	autofree unsigned char *script = NULL;
	size_t length = 0;
	const char *encoded = json_get_string(body, "script", NULL);
	int status = encoded ? decode_base64(encoded, &script, &length) : -EINVAL;
	if (status < 0)
		return error_set(err, EINVAL, "the request holds no script in base64 of at most %d MiB",
				 SCRIPT_MAX >> 20);
	if (json_get_bool(body, "format", false))
		status = layout_format(job->layout, DEVICE_WAIT_MS, err);
	if (status == 0)
		status = layout_claim_volumes(job->layout, false, DEVICE_WAIT_MS, err);
	if (status == 0)
		status = ensure_keeper(job, err);
	if (status == 0)
		status = layout_furnish(job->layout, script, length, err);
	if (status == 0) {
		autofree char *log = job_path(job, "log");
		hooks->logs_open(job->jobs->context, job->id, log);
		status = keeper_call(job->directory, "start", NULL, START_TIMEOUT_MS, NULL, err);
	}
	if (status < 0) {
		struct error more = { 0 };
		hooks->logs_close(job->jobs->context, job->id);
		if (layout_release_volumes(job->layout, UNMOUNT_MS, &more) < 0)
			log_error("job %s: %s", job->id, more.text);
		return status;
	}
	int64_t now = realtime_ns();
	new_container(job);
	set_state(job, RUNNING);
	*answer = json_object_new_object();
	json_set_string(*answer, "container", job->container);
	json_set_int(*answer, "started_ns", now);
	return 0;
}

int jobs_start(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	       struct error *err)
{
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = begin(jobs, id, epoch, true, &job, err);
	if (status == 0 && !job->spec)
		status = prepare(job, body, err);
	if (status < 0)
		return status;
	switch (get_state(job)) {
	case PREPARED:
		return start(job, body, answer, err);
	case RUNNING:
	case ENDED:
		*answer = json_object_new_object();
		json_set_string(*answer, "container", job->container);
		return 0;
	default:
		return error_set(err, EOPNOTSUPP, "the job cannot be started here: it is %s",
				 state_names[get_state(job)]);
	}
}

/* ---- float, dump, adopt ---- */

static void set_times(json_object *answer, const struct frozen *frozen)
{
	const struct {
		const char *key;
		int64_t value;
	} times[] = {
		{ "freeze_ns", frozen->freeze_ns },     { "dumped_ns", frozen->dumped_ns },
		{ "released_ns", frozen->released_ns }, { "mounted_ns", frozen->mounted_ns },
		{ "thaw_ns", frozen->thaw_ns },
	};
	for (size_t i = 0; i < array_length(times); i++)
		if (times[i].value)
			json_set_int(answer, times[i].key, times[i].value);
	if (frozen->steps)
		json_object_object_add(answer, "steps", json_object_get(frozen->steps));
}

static int record_hand_over(void *argument)
{
	struct job *job = argument;
	lock(job->jobs);
	job->handed = true;
	int status = write_state(job);
	unlock(job->jobs);
	return status;
}

static struct frozen new_frozen(struct job *job, int64_t epoch, json_object *body)
{
	return (struct frozen){
		.id = job->id,
		.epoch = epoch,
		.layout = job->layout,
		.hooks = job->jobs->hooks,
		.context = job->jobs->context,
		.faults = json_get_array(body, "faults"),
		.deadline_ms = (int)json_get_int(body, "deadline_ms", 0),
		.handing_over = record_hand_over,
		.job = job,
	};
}

static int leave(struct job *job, int64_t epoch, json_object *body, json_object *to, json_object **answer,
		 struct error *err)
{
	enum state state = get_state(job);
	*answer = json_object_new_object();
	int status = 0;
	if (state == ENDED)
		status = error_set(err, EOPNOTSUPP, "the job has ended");
	else if (state != RUNNING)
		status =
		    error_set(err, EOPNOTSUPP, "the job does not run here: it is %s", state_names[state]);
	else
		status = set_process(job, json_get_string(body, "process", NULL), err);
	if (status < 0) {
		json_set_string(*answer, "job", state_names[state]);
		return status;
	}

	struct frozen frozen = new_frozen(job, epoch, body);
	frozen.to = to;
	set_state(job, FROZEN);
	status = frozen_leave(&frozen, err);
	set_times(*answer, &frozen);
	if (frozen.adopt)
		json_object_object_add(*answer, "adopt", json_object_get(frozen.adopt));
	set_freeze(job, *answer);
	set_state(job, frozen.gone ? DUMPED : RUNNING);
	if (status < 0)
		json_set_string(*answer, "job", state_names[get_state(job)]);
	frozen_clear(&frozen);
	return status;
}

int jobs_float(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	       struct error *err)
{
	autooperation struct job *job = NULL;
	json_object *to = json_get_object(body, "to");
	*answer = NULL;
	if (!to)
		return error_set(err, EINVAL, "the request does not say where the job goes to");
	int status = begin(jobs, id, epoch, false, &job, err);
	return status < 0 ? status : leave(job, epoch, body, to, answer, err);
}

int jobs_dump(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	      struct error *err)
{
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = begin(jobs, id, epoch, false, &job, err);
	return status < 0 ? status : leave(job, epoch, body, NULL, answer, err);
}

static int adopt(struct job *job, int64_t epoch, json_object *body, json_object **answer, struct error *err)
{
	enum state state = get_state(job);
	if (state == RUNNING || state == ENDED) {
		lock(job->jobs);
		*answer = job->freeze ? copy_of(job->freeze) : json_object_new_object();
		unlock(job->jobs);
		return 0;
	}
	int status = set_process(job, json_get_string(body, "process", NULL), err);
	if (status == 0)
		status = ensure_keeper(job, err);
	if (status < 0)
		return status;
	struct frozen frozen = new_frozen(job, epoch, body);
	set_state(job, FROZEN);
	status = frozen_enter(&frozen, err);
	*answer = json_object_new_object();
	set_times(*answer, &frozen);
	frozen_clear(&frozen);
	if (status == 0) {
		new_container(job);
		json_set_string(*answer, "container", job->container);
	}
	set_freeze(job, *answer);
	set_state(job, status == 0 ? RUNNING : DUMPED);
	if (status < 0)
		json_set_string(*answer, "job", state_names[DUMPED]);
	return status;
}

int jobs_adopt(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	       struct error *err)
{
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = begin(jobs, id, epoch, false, &job, err);
	return status < 0 ? status : adopt(job, epoch, body, answer, err);
}

/* ---- stop, signal ---- */

/* Beside other operations: the keeper takes requests one by one. */
static int tell_keeper(struct jobs *jobs, const char *id, int64_t epoch, const char *verb, const char *field,
		       int64_t value, json_object **answer, struct error *err)
{
	struct job *job;
	*answer = NULL;
	int status = open_job(jobs, id, epoch, false, &job, err);
	if (status < 0)
		return status;
	enum state state = get_state(job);
	if (state == FROZEN)
		return error_set(err, EBUSY, "the job is on its way to another host: ask again in a moment");
	if (state != RUNNING)
		return error_set(err, EOPNOTSUPP, "the job does not run here: it is %s", state_names[state]);
	autojson json_object *fields = json_object_new_object();
	json_set_int(fields, field, value);
	status = keeper_call(job->directory, verb, fields, CALL_TIMEOUT_MS, NULL, err);
	if (status == 0)
		*answer = json_object_new_object();
	return status;
}

int jobs_stop(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
	      struct error *err)
{
	int64_t grace = json_get_int(body, "grace_ms", 10000);
	return tell_keeper(jobs, id, epoch, "stop", "grace_ms", grace < 0 ? 0 : grace, answer, err);
}

int jobs_signal(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
		struct error *err)
{
	return tell_keeper(jobs, id, epoch, "signal", "signal", json_get_int(body, "signal", 0), answer, err);
}

/* ---- release ---- */

int jobs_release(struct jobs *jobs, const char *id, int64_t epoch, json_object *body, json_object **answer,
		 struct error *err)
{
	(void)body;
	autooperation struct job *job = NULL;
	*answer = NULL;
	int status = begin(jobs, id, epoch, true, &job, err);
	if (status == 0 && job->spec)
		status = tear_down(job, err);
	if (status == 0)
		*answer = json_object_new_object();
	return status;
}

/* ---- what there is ---- */

/* With the mutex held. */
static json_object *describe(struct job *job)
{
	json_object *object = json_object_new_object();
	json_set_string(object, "id", job->id);
	json_set_int(object, "epoch", job->epoch);
	json_set_string(object, "state", state_names[job->state]);
	json_set_string(object, "container", job->container);
	json_set_int(object, "memory_bytes", job->state == RUNNING ? cgroup_memory() : 0);
	if (job->exit)
		json_object_object_add(object, "exit", copy_of(job->exit));
	if (job->freeze)
		json_object_object_add(object, "freeze", copy_of(job->freeze));
	return object;
}

json_object *jobs_describe(struct jobs *jobs)
{
	json_object *array = json_object_new_array();
	lock(jobs);
	for (struct job *job = jobs->first; job; job = job->next)
		json_object_array_add(array, describe(job));
	unlock(jobs);
	return array;
}

json_object *jobs_describe_one(struct jobs *jobs, const char *id)
{
	lock(jobs);
	struct job *job = find_job(jobs, id);
	json_object *object = job ? describe(job) : NULL;
	unlock(jobs);
	return object;
}

bool jobs_exit(struct jobs *jobs, const char *id, json_object **exit)
{
	lock(jobs);
	struct job *job = find_job(jobs, id);
	bool ended = job && job->exit;
	if (ended)
		*exit = copy_of(job->exit);
	unlock(jobs);
	return ended;
}

bool jobs_running(struct jobs *jobs, const char *id)
{
	lock(jobs);
	struct job *job = find_job(jobs, id);
	bool running = job && job->state == RUNNING;
	unlock(jobs);
	return running;
}

bool jobs_peer_allowed(struct jobs *jobs, const char *id, const char *peer)
{
	lock(jobs);
	struct job *job = find_job(jobs, id);
	bool allowed = job && job->from && strcmp(job->from, peer) == 0;
	unlock(jobs);
	return allowed;
}

/* ---- an earlier agent's jobs ---- */

static enum state state_of(const char *name)
{
	for (size_t i = 0; i < array_length(state_names); i++)
		if (strcmp(state_names[i], name) == 0)
			return (enum state)i;
	return RELEASED;
}

static void read_epoch(struct job *job)
{
	autofree char *path = job_path(job, "epoch"), *text = NULL;
	if (file_read(path, 64, &text, NULL) == 0)
		job->epoch = strtoll(text, NULL, 10);
}

/* What an earlier agent knew. false: nothing but the epoch. */
static bool recall(struct job *job)
{
	autofree char *state_path = job_path(job, "state.json"), *spec_path = job_path(job, "spec.json"),
		      *exit_path = job_path(job, "exit");
	autojson json_object *state = NULL, *spec = NULL;
	struct error err = { 0 };
	read_epoch(job);
	if (json_read_file(spec_path, &spec, &err) < 0)
		return false;
	job->spec = spec_parse(spec, &err);
	if (!job->spec) {
		log_error("%s: %s", spec_path, err.text);
		return false;
	}
	job->layout = layout_new(job->directory, job->spec);
	job->state = PREPARED;
	json_read_file(exit_path, &job->exit, &err);
	if (json_read_file(state_path, &state, &err) < 0)
		return true;
	const char *from = json_get_string(state, "from", NULL),
		   *container = json_get_string(state, "container", NULL);
	job->state = state_of(json_get_string(state, "state", "prepared"));
	job->handed = json_get_bool(state, "handed", false);
	job->from = from ? format_string("%s", from) : NULL;
	job->container = container ? format_string("%s", container) : NULL;
	job->freeze = json_object_get(json_get_object(state, "freeze"));
	return true;
}

/*
 * The agent ended inside a frozen section. The keeper knows whether the tasks are there (it may be at the
 * dump or the restore still: the call waits for it). Gone and not handed over: take the job up again. Handed
 * over: let go.
 */
static void take_up(struct job *job)
{
	struct error err = { 0 };
	autojson json_object *reply = NULL;
	int status = ensure_keeper(job, &err);
	if (status == 0)
		status = keeper_call(job->directory, "state", NULL, CALL_TIMEOUT_MS, &reply, &err);
	if (status == 0 && json_get_int(reply, "pid", 0) > 0) {
		set_state(job, RUNNING);
		return;
	}
	/* With a container it ran here before: this is the side that was leaving. */
	if (status == 0 && !job->handed && job->container) {
		struct frozen frozen = new_frozen(job, job->epoch, NULL);
		status = frozen_enter(&frozen, &err);
		frozen_clear(&frozen);
		if (status == 0) {
			log_info("job %s: taken up again after the agent was started anew", job->id);
			set_state(job, RUNNING);
			return;
		}
	}
	if (status < 0)
		log_error("job %s: %s", job->id, err.text);
	if (layout_release_volumes(job->layout, UNMOUNT_MS, &err) < 0)
		log_error("job %s: %s", job->id, err.text);
	set_state(job, DUMPED);
}

static void reconnect(struct job *job)
{
	struct error err = { 0 };
	const struct jobs_hooks *hooks = job->jobs->hooks;
	hooks->prepared(job->jobs->context, job->id, job->directory);
	if (job->state == FROZEN) {
		take_up(job);
	} else if (job->state != ENDED && start_watching(job, &err) < 0) {
		log_error("job %s: %s", job->id, err.text);
		if (job->state == RUNNING) {
			cgroup_kill();
			lock(job->jobs);
			job->exit = json_object_new_object();
			json_set_int(job->exit, "signal", 9);
			unlock(job->jobs);
		}
	}
	if (job->state == RUNNING)
		set_state(job, RUNNING); /* or ended meanwhile */
	if (job->state == RUNNING || job->state == ENDED) {
		autofree char *log = job_path(job, "log");
		hooks->logs_open(job->jobs->context, job->id, log);
	}
}

struct jobs *jobs_open(const char *host_id, struct error *err)
{
	int status = file_make_directories(JOBS_DIRECTORY, 0700);
	if (status < 0) {
		error_sys(err, -status, "cannot make " JOBS_DIRECTORY);
		return NULL;
	}
	struct jobs *jobs = calloc(1, sizeof(*jobs));
	if (!jobs)
		abort();
	pthread_mutex_init(&jobs->mutex, NULL);
	jobs->host_id = format_string("%s", host_id);
	autoclosedir DIR *dir = opendir(JOBS_DIRECTORY);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (!spec_id_valid(entry->d_name))
			continue;
		struct job *job = new_job(jobs, entry->d_name);
		recall(job);
		job->next = jobs->first;
		jobs->first = job;
	}
	return jobs;
}

void jobs_set_hooks(struct jobs *jobs, const struct jobs_hooks *hooks, void *context)
{
	jobs->hooks = hooks;
	jobs->context = context;
	for (struct job *job = jobs->first; job; job = job->next)
		if (job->spec)
			reconnect(job);
}

void jobs_close(struct jobs *jobs)
{
	if (!jobs)
		return;
	for (struct job *job = jobs->first, *next; job; job = next) {
		next = job->next;
		lock(jobs);
		job->quitting = true;
		if (job->watch >= 0)
			shutdown(job->watch, SHUT_RDWR);
		unlock(jobs);
		join_watcher(job);
		layout_free(job->layout);
		spec_free(job->spec);
		json_object_put(job->exit);
		json_object_put(job->freeze);
		free(job->from);
		free(job->container);
		free(job->directory);
		pthread_mutex_destroy(&job->operation);
		free(job);
	}
	pthread_mutex_destroy(&jobs->mutex);
	free(jobs->host_id);
	free(jobs);
}
