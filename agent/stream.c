#include "agent/stream.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/frame.h"
#include "agent/tail.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"

enum { TICK_MS = 1000 };

struct stream {
	struct stream *following;
	struct streams *streams;
	char *id;
	uint64_t number;
	pthread_cond_t rung_cond;
	bool rung, over; /* guarded by streams->lock */

	/* The reading thread's own. */
	struct tail *tail;
	struct frame frame;
	size_t given; /* of the frame */
	bool paused, last_look, end_told;
	size_t given_up_told;
	int64_t frame_ms, scan_ms;
};

struct streams {
	pthread_mutex_t lock;
	struct stream *list;
	uint64_t last_number;
	bool stopping;
	struct jobs *jobs;
	struct logs *logs;
	struct asks *asks;
};

struct streams *streams_new(void)
{
	struct streams *streams = calloc(1, sizeof(*streams));
	if (!streams)
		abort();
	pthread_mutex_init(&streams->lock, NULL);
	return streams;
}

void streams_set_sources(struct streams *streams, struct jobs *jobs, struct logs *logs, struct asks *asks)
{
	streams->jobs = jobs;
	streams->logs = logs;
	streams->asks = asks;
}

void streams_free(struct streams *streams)
{
	pthread_mutex_destroy(&streams->lock);
	free(streams);
}

void streams_ring(void *context, const char *id)
{
	struct streams *streams = context;
	pthread_mutex_lock(&streams->lock);
	for (struct stream *stream = streams->list; stream; stream = stream->following) {
		if (strcmp(stream->id, id) != 0)
			continue;
		stream->rung = true;
		pthread_cond_signal(&stream->rung_cond);
	}
	pthread_mutex_unlock(&streams->lock);
}

/* With the lock. */
static void end_streams(struct streams *streams, const char *id)
{
	for (struct stream *stream = streams->list; stream; stream = stream->following) {
		if (id && strcmp(stream->id, id) != 0)
			continue;
		stream->over = true;
		pthread_cond_signal(&stream->rung_cond);
	}
}

void streams_end(struct streams *streams, const char *id)
{
	pthread_mutex_lock(&streams->lock);
	if (!id)
		streams->stopping = true;
	end_streams(streams, id);
	pthread_mutex_unlock(&streams->lock);
}

struct stream *stream_open(struct streams *streams, const char *id, json_object *have)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	if (!stream)
		abort();
	pthread_cond_init(&stream->rung_cond, NULL);
	stream->streams = streams;
	stream->id = format_string("%s", id);
	stream->tail = tail_new(have);
	stream->rung = true;

	pthread_mutex_lock(&streams->lock);
	end_streams(streams, id);
	stream->number = ++streams->last_number;
	stream->over = streams->stopping;
	stream->following = streams->list;
	streams->list = stream;
	pthread_mutex_unlock(&streams->lock);
	return stream;
}

void stream_close(struct stream *stream)
{
	struct streams *streams = stream->streams;
	pthread_mutex_lock(&streams->lock);
	struct stream **link = &streams->list;
	while (*link != stream)
		link = &(*link)->following;
	*link = stream->following;
	pthread_mutex_unlock(&streams->lock);
	pthread_cond_destroy(&stream->rung_cond);
	tail_free(stream->tail);
	frame_free(&stream->frame);
	free(stream->id);
	free(stream);
}

/* One look at the logs: 1 with a frame, 0 with how long there will be nothing. */
static int look_at_logs(struct stream *stream, bool scan, enum logs_state *state, int *again_ms)
{
	struct streams *streams = stream->streams;
	struct logs_visit visit;
	*again_ms = 0;
	*state = logs_enter(streams->logs, stream->id, &visit);
	if (*state == LOGS_NEVER)
		return 0;
	if (*state == LOGS_CLOSED) {
		if (stream->paused)
			return 0;
		stream->paused = true;
		frame_paused(&stream->frame);
		return 1;
	}
	if (stream->paused)
		scan = true;
	stream->paused = false;
	int status = tail_next(stream->tail, visit.root, visit.stop, scan, &stream->frame, again_ms);
	logs_leave(streams->logs, &visit);
	/* A directory that cannot be read now is looked at again with the next tick. */
	return status == 1;
}

/*
 * The job's end, or that it stands as an image, once nothing is left to tell before it. 1 with a frame; 0, with
 * *again_ms 1 to look once more.
 */
static int look_at_end(struct stream *stream, enum logs_state state, int *again_ms)
{
	struct jobs *jobs = stream->streams->jobs;
	autojson json_object *exit = NULL;
	if (!jobs_exit(jobs, stream->id, &exit) && !jobs_dumped(jobs, stream->id)) {
		if (stream->last_look)
			tail_look_last(stream->tail, false);
		stream->end_told = stream->last_look = false;
		return 0;
	}
	if (stream->end_told || *again_ms || state == LOGS_CLOSED || (!exit && state != LOGS_OPEN))
		return 0;
	if (state == LOGS_OPEN && !stream->last_look) {
		/* What was written between the last look and the end. */
		stream->last_look = true;
		tail_look_last(stream->tail, true);
		*again_ms = 1;
		return 0;
	}
	stream->end_told = true;
	if (exit)
		frame_exit(&stream->frame, exit);
	else
		frame_dumped(&stream->frame);
	return 1;
}

static void wait_for_ring(struct stream *stream, int ms)
{
	struct timespec until = clock_monotonic_in(ms);
	struct streams *streams = stream->streams;
	pthread_mutex_lock(&streams->lock);
	while (!stream->rung && !stream->over)
		if (pthread_cond_clockwait(&stream->rung_cond, &streams->lock, CLOCK_MONOTONIC, &until) != 0)
			break;
	pthread_mutex_unlock(&streams->lock);
}

/* Waits for the next frame; false when the stream is over. */
static bool make_frame(struct stream *stream)
{
	struct streams *streams = stream->streams;
	for (;;) {
		pthread_mutex_lock(&streams->lock);
		bool over = stream->over, scan = stream->rung;
		stream->rung = false;
		pthread_mutex_unlock(&streams->lock);
		if (over)
			return false;

		autojson json_object *ask = NULL;
		if (asks_take(streams->asks, stream->id, stream->number, &ask)) {
			frame_json(&stream->frame, ask);
			if (scan) {
				pthread_mutex_lock(&streams->lock);
				stream->rung = true;
				pthread_mutex_unlock(&streams->lock);
			}
			return true;
		}
		autojson json_object *given_up =
		    jobs_given_up(streams->jobs, stream->id, stream->given_up_told);
		if (given_up) {
			stream->given_up_told += json_object_array_length(given_up);
			frame_given_up(&stream->frame, given_up);
			return true;
		}
		/* inotify does not tell of writes through a mapping. */
		int64_t now = clock_monotonic_ms();
		if (now - stream->scan_ms >= TICK_MS || stream->last_look)
			scan = true;
		if (scan)
			stream->scan_ms = now;
		enum logs_state state;
		int again_ms;
		if (look_at_logs(stream, scan, &state, &again_ms) || look_at_end(stream, state, &again_ms))
			return true;
		int64_t left = stream->frame_ms + TICK_MS - now;
		if (left <= 0) {
			frame_alive(&stream->frame);
			return true;
		}
		wait_for_ring(stream, again_ms && again_ms < left ? again_ms : (int)left);
	}
}

ssize_t stream_read(struct stream *stream, char *buffer, size_t size)
{
	if (stream->given == stream->frame.length) {
		if (!make_frame(stream))
			return -1;
		stream->given = 0;
		stream->frame_ms = clock_monotonic_ms();
	}
	size_t left = stream->frame.length - stream->given;
	size_t length = left < size ? left : size;
	memcpy(buffer, stream->frame.bytes + stream->given, length);
	stream->given += length;
	return (ssize_t)length;
}
