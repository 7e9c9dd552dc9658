#include "fs/files.h"

#include <errno.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/files_inside.h"
#include "fs/op.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"

enum {
	READERS = 4, /* threads, and connections, a host */
	TRIES = 2,   /* hosts that a request may outlive */
	ASK_TIMEOUT_MS = 20000,
	DEAD_MS = 3000, /* a host whose kernel is silent for so long is gone */
	SHUT_TIMEOUT_MS = 30000,
	REMOVAL_MS = 60000,
};

struct files {
	struct floatfs *fs;
	/* Guarded by fs->lock. */
	TAILQ_HEAD(asks, ask) asks; /* parked, in the order that they came; those that are being asked too */
	pthread_cond_t work;        /* something was parked, or a host serves no more */
	int replying;
	bool stopped;
};

struct files *files_new(struct floatfs *fs)
{
	struct files *files = calloc(1, sizeof(*files));
	if (!files)
		abort();
	files->fs = fs;
	TAILQ_INIT(&files->asks);
	pthread_cond_init(&files->work, NULL);
	return files;
}

void files_free(struct files *files)
{
	pthread_cond_destroy(&files->work);
	free(files);
}

/* ---- what is parked ---- */

static void ask_free(struct ask *ask)
{
	job_put(ask->job);
	free(ask->name);
	free(ask);
}

/* With fs->lock held: whoever gets the request answers it. An ask that no thread has taken is the caller's to free. */
static fuse_req_t take_request(struct files *files, struct ask *ask)
{
	fuse_req_t request = ask->request;
	ask->request = NULL;
	if (!ask->taken)
		TAILQ_REMOVE(&files->asks, ask, entries);
	return request;
}

/* Knows the request by its address only: an answer that is on its way may have freed the ask. */
static void interrupted(fuse_req_t request, void *context)
{
	struct floatfs *fs = context;
	pthread_mutex_lock(&fs->lock);
	struct ask *ask = TAILQ_FIRST(&fs->files->asks);
	while (ask && ask->request != request)
		ask = TAILQ_NEXT(ask, entries);
	bool taken = ask && ask->taken;
	if (ask)
		take_request(fs->files, ask);
	pthread_mutex_unlock(&fs->lock);
	if (!ask)
		return;
	fuse_reply_err(request, EINTR);
	if (!taken)
		ask_free(ask);
}

void files_park(struct floatfs *fs, struct ask *ask)
{
	struct job *job = ask->job;
	fuse_req_t request = ask->request;
	fuse_req_interrupt_func(request, interrupted, fs);
	pthread_mutex_lock(&fs->lock);
	/* An interrupt from here on waits for the lock, and finds it listed. */
	int refuse = fs->files->stopped                  ? ENOTCONN
		     : job->files.shut || job->forgotten ? ENOENT
		     : fuse_req_interrupted(request)     ? EINTR
							 : 0;
	if (!refuse) {
		TAILQ_INSERT_TAIL(&fs->files->asks, ask, entries);
		pthread_cond_broadcast(&fs->files->work);
	}
	bool begin = !refuse && !job->operating;
	job_get_locked(job);
	pthread_mutex_unlock(&fs->lock);
	if (refuse) {
		fuse_reply_err(request, refuse);
		ask_free(ask);
	}
	/* Whatever is under way ends with this. */
	if (begin)
		op_settle(job);
	job_put(job);
}

bool files_wanted_locked(struct job *job)
{
	struct ask *ask = TAILQ_FIRST(&job->fs->files->asks);
	while (ask && (ask->job != job || !ask->request))
		ask = TAILQ_NEXT(ask, entries);
	return ask != NULL;
}

/* The first that no thread has taken, of that job (NULL: of any); fs->lock is held. */
static struct ask *find_waiting(struct files *files, const struct job *job)
{
	struct ask *ask = TAILQ_FIRST(&files->asks);
	while (ask && (ask->taken || (job && ask->job != job)))
		ask = TAILQ_NEXT(ask, entries);
	return ask;
}

/* Code 0: they are left to the next floatfs. */
static void refuse_waiting(struct files *files, const struct job *job, int code)
{
	for (;;) {
		pthread_mutex_lock(&files->fs->lock);
		struct ask *ask = find_waiting(files, job);
		fuse_req_t request = ask ? take_request(files, ask) : NULL;
		pthread_mutex_unlock(&files->fs->lock);
		if (!ask)
			return;
		if (code)
			fuse_reply_err(request, code);
		else
			fuse_reply_none(request);
		ask_free(ask);
	}
}

void files_refuse(struct job *job, int code)
{
	refuse_waiting(job->fs->files, job, code);
}

void files_stop(struct files *files)
{
	struct floatfs *fs = files->fs;
	pthread_mutex_lock(&fs->lock);
	files->stopped = true;
	pthread_mutex_unlock(&fs->lock);
	refuse_waiting(files, NULL, fs->leaving ? 0 : ENOTCONN);
	/* What a thread has taken is freed by it; its request is answered here, or there right now. */
	pthread_mutex_lock(&fs->lock);
	for (struct ask *ask = TAILQ_FIRST(&files->asks); ask; ask = TAILQ_NEXT(ask, entries)) {
		fuse_req_t request = take_request(files, ask);
		if (request && fs->leaving)
			fuse_reply_none(request);
		else if (request)
			fuse_reply_err(request, ENOTCONN);
	}
	while (files->replying > 0)
		pthread_cond_wait(&fs->wakeup, &fs->lock);
	pthread_mutex_unlock(&fs->lock);
}

/* ---- answering ---- */

static struct ask *take_ask(struct job *job)
{
	struct files *files = job->fs->files;
	struct ask *ask = NULL;
	job_lock(job);
	while (job->files.serving && !(ask = find_waiting(files, job)))
		pthread_cond_wait(&files->work, &job->fs->lock);
	if (!job->files.serving)
		ask = NULL;
	if (ask)
		ask->taken = true;
	job_unlock(job);
	return ask;
}

static void tell(struct ask *ask, int status, const struct ask_result *result)
{
	struct job *job = ask->job;
	struct files *files = job->fs->files;
	job_lock(job);
	fuse_req_t request = take_request(files, ask);
	TAILQ_REMOVE(&files->asks, ask, entries);
	job->files.used_ms = clock_monotonic_ms();
	if (request)
		files->replying++;
	job_unlock(job);
	if (request) {
		if (status < 0)
			fuse_reply_err(request, -status);
		else
			ask->kind->reply(ask, request, result);
		job_lock(job);
		files->replying--;
		pthread_cond_broadcast(&job->fs->wakeup);
		job_unlock(job);
	}
	ask_free(ask);
}

/* The host did not answer: another one will, or nobody can. */
static void give_up_host(struct ask *ask, const struct error *err)
{
	struct job *job = ask->job;
	job_lock(job);
	job->files.broken = true;
	job->files.serving = false;
	bool again = ++ask->tries < TRIES;
	if (again && ask->request)
		ask->taken = false;
	else
		record_set(job->error, err->text);
	bool parked = !ask->taken;
	pthread_cond_broadcast(&job->fs->files->work);
	pthread_cond_broadcast(&job->fs->wakeup);
	job_unlock(job);
	if (!parked)
		tell(ask, -EIO, NULL);
}

static bool is_broken(int status)
{
	return status == -ETIMEDOUT || status == -ECONNREFUSED || status == -EHOSTUNREACH ||
	       status == -ECONNRESET || status == -ENOTCONN;
}

static void answer_ask(struct ask *ask, struct http_client *client, const struct record *record)
{
	struct error err = { 0 };
	struct ask_result result = { 0 };
	autofree char *path =
	    format_string("/v1/jobs/%s/%s", record->id, ask->kind->bytes ? "read" : "files");
	autojson json_object *body = files_describe_ask(ask);
	autofree char *data = ask->kind->bytes ? malloc(ask->size + 1) : NULL;
	autojson json_object *answer = NULL;
	int status;
	if (!ask->kind->bytes)
		status = http_request(client, path, body, record->epoch, NULL, ASK_TIMEOUT_MS, &answer, &err);
	else if (data)
		status = http_bytes(client, path, body, record->epoch, ASK_TIMEOUT_MS, data, ask->size,
				    &result.length, &err);
	else
		status = -ENOMEM;
	result.answer = answer;
	result.data = data;
	if (is_broken(status))
		give_up_host(ask, &err);
	else
		tell(ask, status, &result);
}

struct reader {
	struct job *job;
	const struct record *record;
	pthread_t thread;
};

static void *reader_run(void *context)
{
	struct reader *reader = context;
	struct http_client *client =
	    agents_connect(reader->job->fs, reader->record->op.host, reader->record->op.address);
	http_client_set_dead_ms(client, DEAD_MS);
	for (struct ask *ask; (ask = take_ask(reader->job));)
		answer_ask(ask, client, reader->record);
	http_client_free(client);
	return NULL;
}

/* For how many ms the host is kept, should nobody use it; 0: it is over. */
static int64_t time_left_locked(struct job *job)
{
	int64_t idle = (int64_t)job->fs->options.files_idle * 1000;
	if (job->fs->stopping || job->files.shut || job->files.broken)
		return 0;
	if (files_wanted_locked(job))
		return idle ? idle : 1000;
	int64_t left = job->files.used_ms + idle - clock_monotonic_ms();
	return left > 0 ? left : 0;
}

int files_serve(struct job *job, struct error *err)
{
	struct record record;
	struct reader readers[READERS];
	size_t count = 0;
	job_lock(job);
	record = job->record;
	job->files.serving = true;
	job->files.broken = false;
	job->files.used_ms = clock_monotonic_ms();
	job_unlock(job);
	for (; count < READERS; count++) {
		readers[count] = (struct reader){ .job = job, .record = &record };
		if (pthread_create(&readers[count].thread, NULL, reader_run, &readers[count]) != 0)
			break;
	}
	job_lock(job);
	job_changed_locked(job, CHANGE_STATE);
	for (int64_t left; count > 0 && (left = time_left_locked(job)) > 0;)
		fs_wait_locked(job->fs, left < 1000 ? (int)left : 1000);
	job->files.serving = false;
	if (count == 0)
		job->files.failure = EAGAIN;
	bool broken = job->files.broken;
	pthread_cond_broadcast(&job->fs->files->work);
	job_unlock(job);
	for (size_t i = 0; i < count; i++)
		pthread_join(readers[i].thread, NULL);
	if (count == 0)
		return error_set(err, EAGAIN, "no thread can be started to read files");
	if (!broken)
		return error_set(err, ECANCELED, "the files are not read any more");
	events_write(job, "Host %s does not answer", record.op.host);
	return error_set(err, ECANCELED, "host %s does not answer", record.op.host);
}

/* ---- whether they may be looked at ---- */

int files_check(struct floatfs *fs, const struct node *node, pid_t pid)
{
	autojob struct job *job = job_find_serial(fs, node->serial);
	if (!job)
		return -ENOENT;
	job_lock(job);
	const struct record *record = &job->record;
	int status = record->work_volume[0] ? 1 : 0;
	if (job_is_draft(record))
		status = 0;
	else if (!job_has_ended(record))
		status = -EOPNOTSUPP;
	else if (pid && pid == job->files.remover &&
		 clock_monotonic_ms() - job->files.remover_ms < REMOVAL_MS)
		status = 0;
	if (status < 0) {
		autofree char *sentence =
		    format_string("the files of job %s can be read when it has ended: its status is %s",
				  record->id, record->status);
		record_set(job->error, sentence);
	}
	job_unlock(job);
	return status;
}

void files_note_removal(struct floatfs *fs, const struct node *directory, pid_t pid)
{
	autojob struct job *job = directory->kind == TREE_JOB ? job_find_serial(fs, directory->serial) : NULL;
	if (!job)
		return;
	job_lock(job);
	job->files.remover = pid;
	job->files.remover_ms = clock_monotonic_ms();
	job_unlock(job);
}

int files_shut(struct job *job, struct error *err)
{
	int64_t deadline = clock_monotonic_ms() + SHUT_TIMEOUT_MS;
	job_lock(job);
	job->files.shut = true;
	pthread_cond_broadcast(&job->fs->wakeup);
	bool up;
	while ((up = job->operating && !strcmp(job->record.op.name, op_files.name)) &&
	       clock_monotonic_ms() < deadline && fs_wait_locked(job->fs, 1000))
		;
	if (up)
		job->files.shut = false;
	job_unlock(job);
	if (up)
		return error_set(err, EBUSY,
				 "job %s: the host that its files were read on is still being given back",
				 job->record.id);
	files_refuse(job, ENOENT);
	return 0;
}
