#include "fs/follow.h"

#include <errno.h>
#include <string.h>

#include "fs/agents.h"
#include "fs/events.h"
#include "fs/frames.h"
#include "fs/mirror.h"
#include "fs/op_host.h"
#include "fs/snapshots.h"
#include "fs/tree.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
	RETRY_FIRST_MS = 50,
	RETRY_LAST_MS = 2000,
	STEADY_MS = 5000,
	PAUSE_MS = 500,
	DRAIN_PATIENCE_MS = 60000,
	ANSWER_TIMEOUT_MS = 10000,
	SILENCE_MS = 2500,
	LOOK_PAUSE_MS = 400,
	SILENT_TRIES = 3,
	UNKNOWN_TRIES = 3,
};

struct follower {
	struct job *job;
	/* Guarded by fs->lock. */
	bool stop, restart;
	bool drained;     /* it stands as an image, and all that it wrote is here */
	int64_t heard_ms; /* when data came last */

	/* The thread's own. */
	struct frames frames;
	bool paused, ended;
	int64_t waiting_since_ns; /* the mirror takes no more, for that reason; 0: it does */
	char waiting_for[256];
	int64_t silent_since_ms, looked_ms; /* whether the host is there */
	int silent_tries;                   /* to follow it, since then */
	int unknown;                        /* how often in a row its host did not know the job */
	struct http_client *answers;
	char host[64], address[64]; /* whom we follow now */
};

static bool should_leave(struct follower *follower)
{
	job_lock(follower->job);
	bool leave = follower->stop || follower->restart || follower->job->fs->stopping;
	job_unlock(follower->job);
	return leave;
}

static void note_exit(struct follower *follower, json_object *exit)
{
	struct job *job = follower->job;
	struct error err = { 0 };
	struct frames_exit end;
	follower->ended = true;
	frames_read_exit(exit, &end);
	if (end.lost) {
		follow_note_lost(job, follower->host, "has lost the job: what kept it was killed");
		return;
	}
	job_lock(job);
	if (job->record.exit_known) {
		job_unlock(job);
		return;
	}
	job->record.exit_known = 1;
	job->record.exit_code = end.code;
	job->record.exit_signal = end.signal;
	record_set(job->record.exit_note, end.note);
	job->record.end_ns = clock_now_ns();
	pthread_cond_broadcast(&job->fs->wakeup);
	job_unlock(job);
	if (job_save(job, &err) < 0)
		log_error("job %s: %s", job->record.id, err.text);
}

/* A request that the job made on its own /float; its answer goes by a connection of its own. */
static void answer_ask(struct follower *follower, json_object *ask)
{
	struct job *job = follower->job;
	struct error err = { 0 };
	autojson json_object *answer = json_object_new_object();
	json_set_int(answer, "ask", json_get_int(ask, "ask", 0));
	tree_answer_job(job, ask, answer);
	if (!follower->answers)
		follower->answers = agents_connect(job->fs, follower->host, follower->address);
	autofree char *path = format_string("/v1/jobs/%s/answer", job->record.id);
	/* The epoch of now, not of when the stream was opened: a migration may have been granted a new one
	 * since. */
	job_lock(job);
	int64_t epoch = job->record.epoch;
	job_unlock(job);
	if (http_request(follower->answers, path, answer, epoch, NULL, ANSWER_TIMEOUT_MS, NULL, &err) < 0)
		log_info("job %s: an answer was not taken: %s", job->record.id, err.text);
}

/* What cannot be written here waits on the job's volume: said once, and in its events when there is room for them again. */
static void note_waiting(struct follower *follower, const struct error *err)
{
	struct job *job = follower->job;
	if (err->code == EBADMSG) {
		log_error("job %s: %s", job->record.id, err->text);
		return;
	}
	if (follower->waiting_since_ns)
		return;
	follower->waiting_since_ns = clock_now_ns();
	record_set(follower->waiting_for, err->text);
	log_error("job %s: its logs wait on its volume: %s", job->record.id, err->text);
	job_lock(job);
	snprintf(job->error, sizeof(job->error), "the logs wait on the job's volume: %.400s", err->text);
	job_unlock(job);
}

static void note_going_on(struct follower *follower)
{
	struct job *job = follower->job;
	if (!follower->waiting_since_ns)
		return;
	events_write_at(job, follower->waiting_since_ns, "The logs wait on the job's volume: %s",
			follower->waiting_for);
	events_write(job, "The logs are fetched again");
	log_info("job %s: its logs are fetched again", job->record.id);
	follower->waiting_since_ns = 0;
}

static void note_drained(struct follower *follower)
{
	job_lock(follower->job);
	follower->drained = true;
	pthread_cond_broadcast(&follower->job->fs->wakeup);
	job_unlock(follower->job);
}

static int take_frame(void *context, json_object *frame)
{
	struct follower *follower = context;
	struct job *job = follower->job;
	struct error err = { 0 };
	json_object *names = json_get_array(frame, "names"), *coming = json_get_array(frame, "coming"),
		    *exit = json_get_object(frame, "exit"), *given_up = json_get_array(frame, "given_up");
	int status = 0;
	if (names) {
		status = mirror_set_names(job->mirror, names, &err);
		job_changed(job, CHANGE_LOGS);
	} else if (coming) {
		status = mirror_set_coming(job->mirror, coming, &err);
	} else if (json_get_int(frame, "truncated", 0) > 0) {
		status = mirror_truncate(job->mirror, (uint64_t)json_get_int(frame, "truncated", 0),
					 json_get_int(frame, "size", 0), &err);
		job_changed(job, CHANGE_LOGS);
	} else if (json_get_int(frame, "settled", 0) > 0) {
		mirror_settle(job->mirror, (uint64_t)json_get_int(frame, "settled", 0),
			      json_get_int(frame, "mtime_ns", 0));
	} else if (json_get_int(frame, "ask", 0) > 0) {
		answer_ask(follower, frame);
	} else if (given_up) {
		snapshots_note_given_up(job, given_up);
	} else if (exit) {
		note_exit(follower, exit);
	} else if (json_get_bool(frame, "dumped", false)) {
		note_drained(follower);
	} else if (json_get_bool(frame, "paused", false)) {
		follower->paused = true;
	}
	if (status < 0)
		note_waiting(follower, &err);
	return status < 0 || follower->ended || follower->paused;
}

static int take_data(void *context, const struct frames_data *at, const void *bytes, size_t length)
{
	struct follower *follower = context;
	struct job *job = follower->job;
	struct error err = { 0 };
	int status = at->over
			 ? mirror_write_over(job->mirror, at->generation, at->offset, bytes, length, &err)
			 : mirror_append(job->mirror, at->generation, at->offset, bytes, length, &err);
	if (status == 0 && length == at->left && at->mtime_ns > 0)
		mirror_settle(job->mirror, at->generation, at->mtime_ns);
	if (status < 0)
		note_waiting(follower, &err);
	else
		note_going_on(follower);
	if (status == 0 && length == at->left)
		job_changed(job, CHANGE_LOGS);
	job_lock(job);
	follower->heard_ms = status < 0 ? follower->heard_ms : clock_monotonic_ms();
	job_unlock(job);
	return status;
}

static const struct frames_taker taker = { .frame = take_frame, .data = take_data };

static void note_heard(struct follower *follower)
{
	follower->silent_tries = follower->unknown = 0;
	follower->silent_since_ms = clock_monotonic_ms();
}

static int take_bytes(const void *bytes, size_t length, void *context)
{
	struct follower *follower = context;
	struct error err = { 0 };
	note_heard(follower);
	int status = frames_take(&follower->frames, bytes, length, &err);
	if (err.code)
		log_error("job %s: its agent sent a frame that cannot be read: %s", follower->job->record.id,
			  err.text);
	return status ? status : should_leave(follower);
}

/* It says that it is alive every second. A host that is gone says nothing more, not even that the connection has ended. */
static int tick(void *context)
{
	struct follower *follower = context;
	int64_t now = clock_monotonic_ms();
	int64_t last =
	    follower->looked_ms > follower->silent_since_ms ? follower->looked_ms : follower->silent_since_ms;
	if (should_leave(follower))
		return 1;
	if (now - last < SILENCE_MS)
		return 0;
	follower->looked_ms = now;
	return !op_host_exists(follower->job->fs, follower->host);
}

static void set_lost_locked(struct job *job, const char *host, const char *words)
{
	job->record.lost = 1;
	snprintf(job->record.reason, sizeof(job->record.reason), "host %s %s", host, words);
}

void follow_note_gone(struct job *job, const char *host, const char *words)
{
	events_write(job, "Host %s %s", host, words);
	job_lock(job);
	set_lost_locked(job, host, words);
	job_unlock(job);
}

bool follow_note_lost(struct job *job, const char *host, const char *words)
{
	struct error err = { 0 };
	job_lock(job);
	/* An operation that is under way deals with its hosts itself, and a suspended job needs none. */
	bool lost = !job->operating && !job->record.lost && !strcmp(job->record.host, host) &&
		    job_is_on_host(&job->record);
	if (lost)
		set_lost_locked(job, host, words);
	job_unlock(job);
	if (!lost)
		return false;
	events_write(job, "Host %s %s", host, words);
	if (job_save(job, &err) < 0)
		log_error("job %s: %s", job->record.id, err.text);
	return true;
}

static void forget_connection(struct follower *follower)
{
	http_client_free(take_pointer(follower->answers));
	frames_reset(&follower->frames);
	follower->paused = false;
}

static int follow_once(struct follower *follower, struct error *err)
{
	struct job *job = follower->job;
	struct record record;
	job_snapshot(job, &record);
	record_set(follower->host, record.host);
	record_set(follower->address, record.address);
	if (!record.host[0])
		return error_set(err, ESRCH, "it has no host");
	autojson json_object *body = json_object_new_object();
	json_object_object_add(body, "have", mirror_have(job->mirror));
	autofree char *path = format_string("/v1/jobs/%s/stream", record.id);
	struct http_client *client = agents_connect(job->fs, record.host, record.address);
	int status = http_stream(client, path, body, record.epoch, take_bytes, tick, follower, err);
	http_client_free(client);
	return status;
}

/*
 * Is there no use in trying again? What does not answer is given time: its network may be cut, or it has much to do. Tries are
 * counted, too, as it may have been floatfs that stood.
 */
static bool is_lost(struct follower *follower, const struct error *err, int pause_ms, char words[80])
{
	struct floatfs *fs = follower->job->fs;
	int64_t silent_s = (clock_monotonic_ms() - follower->silent_since_ms) / 1000;
	follower->silent_tries++;
	follower->unknown = err->code == ENOENT ? follower->unknown + 1 : 0;
	/* An agent that is started anew refuses connections for a moment. */
	bool looks = pause_ms >= LOOK_PAUSE_MS || silent_s * 1000 >= SILENCE_MS;
	bool exists = !looks || op_host_exists(fs, follower->host);
	if (!exists)
		snprintf(words, 80, "is gone");
	else if (follower->unknown >= UNKNOWN_TRIES)
		snprintf(words, 80, "does not know the job any more");
	else if (silent_s >= fs->options.lost_seconds && follower->silent_tries >= SILENT_TRIES)
		snprintf(words, 80, "has not answered for %lld s", (long long)silent_s);
	else
		return false;
	return true;
}

static void follow_run(struct floatfs *fs, void *context)
{
	struct follower *follower = context;
	struct job *job = follower->job;
	int pause = RETRY_FIRST_MS;
	for (;;) {
		job_lock(job);
		bool leave = follower->stop || fs->stopping;
		bool anew = follower->restart;
		follower->restart = false;
		job_unlock(job);
		/* On another host, or after a time in which nobody was to answer. */
		if (anew)
			note_heard(follower);
		if (leave || follower->ended)
			break;
		struct error err = { 0 };
		int64_t began = clock_monotonic_ms();
		int status = follow_once(follower, &err);
		bool paused = follower->paused;
		forget_connection(follower);
		if (status < 0 && !paused && !follower->ended) {
			log_debug("job %s: its stream ended: %s", job->record.id, err.text);
			char words[80];
			if (is_lost(follower, &err, pause, words))
				follower->ended = follow_note_lost(job, follower->host, words);
		}
		if (clock_monotonic_ms() - began > STEADY_MS)
			pause = RETRY_FIRST_MS;
		/* What the mirror refused is asked for again from where it ends, and not at once: a disk may be full. */
		job_lock(job);
		if (!follower->restart && !follower->stop && !follower->ended)
			fs_wait_locked(fs, paused ? PAUSE_MS : pause);
		job_unlock(job);
		pause = pause * 2 < RETRY_LAST_MS ? pause * 2 : RETRY_LAST_MS;
	}
	job_lock(job);
	if (job->follower == follower)
		job->follower = NULL;
	pthread_cond_broadcast(&fs->wakeup);
	job_unlock(job);
	bool ended = follower->ended;
	frames_free(&follower->frames);
	free(follower);
	if (ended)
		op_settle(job);
	job_put(job);
}

void follow_start(struct job *job)
{
	struct error err = { 0 };
	struct follower *follower = calloc(1, sizeof(*follower));
	if (!follower)
		abort();
	follower->job = job;
	follower->silent_since_ms = clock_monotonic_ms();
	follower->frames = (struct frames){ .taker = &taker, .context = follower };
	job_lock(job);
	bool there = job->follower != NULL || job->record.exit_known;
	if (!there) {
		job->follower = follower;
		job_get_locked(job);
	}
	job_unlock(job);
	if (there) {
		free(follower);
		return;
	}
	if (fs_spawn(job->fs, follow_run, follower, &err) < 0) {
		log_error("job %s is not followed: %s", job->record.id, err.text);
		job_lock(job);
		job->follower = NULL;
		job_unlock(job);
		free(follower);
		job_put(job);
	}
}

static void signal_follower(struct job *job, bool stop)
{
	job_lock(job);
	if (job->follower) {
		job->follower->stop |= stop;
		job->follower->restart = true;
		pthread_cond_broadcast(&job->fs->wakeup);
	}
	job_unlock(job);
}

void follow_restart(struct job *job)
{
	follow_start(job);
	signal_follower(job, false);
}

bool follow_drain(struct job *job)
{
	int64_t began = clock_monotonic_ms();
	bool drained = false;
	follow_restart(job);
	job_lock(job);
	while (job->follower && !(drained = job->follower->drained)) {
		int64_t heard = job->follower->heard_ms > began ? job->follower->heard_ms : began;
		if (clock_monotonic_ms() - heard > DRAIN_PATIENCE_MS || !fs_wait_locked(job->fs, PAUSE_MS))
			break;
	}
	job_unlock(job);
	return drained;
}

void follow_stop(struct job *job)
{
	signal_follower(job, true);
	job_lock(job);
	while (job->follower && fs_wait_locked(job->fs, PAUSE_MS))
		;
	job_unlock(job);
}
