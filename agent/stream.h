/*
 * The endless answer of POST /v1/jobs/ID/stream: the frames of API.md, made one at a time when the connection
 * can take them. Only the newest stream of a job goes on.
 *
 * Any thread may open and ring; one thread (the connection's) reads a stream. One mutex guards the list and
 * each stream's flags, and is never held while a frame is made.
 */
#pragma once

#include <json-c/json.h>
#include <sys/types.h>

#include "agent/asks.h"
#include "agent/job.h"
#include "agent/logs.h"

struct streams;
struct stream;

struct streams *streams_new(void);
/* What frames are made from; before the first stream_open. All outlive the streams. */
void streams_set_sources(struct streams *streams, struct jobs *jobs, struct logs *logs, struct asks *asks);
/* After streams_stop and the last stream_close. */
void streams_free(struct streams *streams);

/* There may be something new of that job. context is the streams: this is the ring of logs and asks. */
void streams_ring(void *context, const char *id);
/* End the streams of a job; of all jobs, and those that are opened later (id NULL). */
void streams_end(struct streams *streams, const char *id);

/* have: see API.md; borrowed. Ends an older stream of that job. */
struct stream *stream_open(struct streams *streams, const char *id, json_object *have);
/* Waits for at least one byte; -1 when the stream has ended. */
ssize_t stream_read(struct stream *stream, char *buffer, size_t size);
void stream_close(struct stream *stream);
