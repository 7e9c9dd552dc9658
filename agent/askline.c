#include "agent/askline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
	ANSWER_LIMIT = 4 << 20,
	AWAY_TIMEOUT_MS = 10000,   /* while the agent is not there */
	ANSWER_TIMEOUT_MS = 35000, /* longer than the agent waits for the controller */
	CONNECT_EVERY_MS = 100,
};

struct question {
	struct question *following;
	void *request;
	int64_t number;
	char *text;
	bool sent;
	int64_t away_ms; /* not sent since then */
	int64_t deadline_ms;
};

struct askline {
	char *path;
	int fd;
	askline_answer *answer;
	void *context;
	struct question *list;
	int64_t last_number, last_try_ms;
	char *buffer;
	size_t used, room;
};

struct askline *askline_new(const char *path, askline_answer *answer, void *context)
{
	struct askline *line = calloc(1, sizeof(*line));
	if (!line)
		abort();
	*line = (struct askline){
		.path = format_string("%s", path), .fd = -1, .answer = answer, .context = context
	};
	return line;
}

static void free_question(struct question *question)
{
	free(question->text);
	free(question);
}

static void finish(struct askline *line, struct question **link, int code, const char *data, size_t length)
{
	struct question *question = *link;
	*link = question->following;
	line->answer(line->context, question->request, code, data, length);
	free_question(question);
}

void askline_free(struct askline *line)
{
	if (!line)
		return;
	while (line->list)
		finish(line, &line->list, EIO, "", 0);
	if (line->fd >= 0)
		close(line->fd);
	free(line->buffer);
	free(line->path);
	free(line);
}

static void disconnect(struct askline *line)
{
	if (line->fd >= 0)
		close(line->fd);
	line->fd = -1;
	line->used = 0;
	line->last_try_ms = clock_monotonic_ms();
	for (struct question *question = line->list; question; question = question->following) {
		if (question->sent)
			question->away_ms = line->last_try_ms;
		question->sent = false;
	}
}

static bool try_connect(struct askline *line)
{
	if (line->fd >= 0)
		return true;
	if (clock_monotonic_ms() - line->last_try_ms < CONNECT_EVERY_MS)
		return false;
	line->last_try_ms = clock_monotonic_ms();
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s", line->path) >=
	    (int)sizeof(address.sun_path))
		return false;
	line->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (line->fd < 0)
		return false;
	if (connect(line->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return true;
	close(line->fd);
	line->fd = -1;
	return false;
}

static void send_questions(struct askline *line)
{
	for (struct question *question = line->list; question && try_connect(line);
	     question = question->following) {
		if (question->sent)
			continue;
		size_t length = strlen(question->text);
		if (send(line->fd, question->text, length, MSG_NOSIGNAL) != (ssize_t)length) {
			/* Half a line cannot be mended: begin anew. */
			disconnect(line);
			return;
		}
		question->sent = true;
	}
}

void askline_ask(struct askline *line, json_object *body, void *request, int timeout_ms)
{
	struct question *question = calloc(1, sizeof(*question)), **end = &line->list;
	if (!question)
		abort();
	json_set_int(body, "ask", ++line->last_number);
	int64_t now = clock_monotonic_ms();
	*question = (struct question){
		.request = request,
		.number = line->last_number,
		.text = format_string("%s\n", json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN)),
		.away_ms = now,
		.deadline_ms = now + (timeout_ms ? timeout_ms : ANSWER_TIMEOUT_MS),
	};
	json_object_put(body);
	while (*end)
		end = &(*end)->following;
	*end = question;
	send_questions(line);
}

void askline_forget(struct askline *line, void *request)
{
	for (struct question **link = &line->list; *link;) {
		struct question *question = *link;
		if (question->request != request) {
			link = &question->following;
			continue;
		}
		*link = question->following;
		free_question(question);
	}
}

int askline_fd(const struct askline *line)
{
	return line->fd;
}

int askline_timeout_ms(const struct askline *line)
{
	return line->list ? CONNECT_EVERY_MS : -1;
}

static void note_answer(struct askline *line, const char *text, size_t length)
{
	autojson json_object *answer = NULL;
	struct error err;
	if (json_parse_object(text, length, &answer, &err) < 0) {
		log_error("the agent's answer to the job's own request: %s", err.text);
		return;
	}
	int64_t number = json_get_int(answer, "ask", -1);
	json_object *data = NULL;
	/* Of another type it would have a text, but no length. */
	if (!json_object_object_get_ex(answer, "data", &data) || !json_object_is_type(data, json_type_string))
		data = NULL;
	for (struct question **link = &line->list; *link; link = &(*link)->following) {
		if ((*link)->number != number)
			continue;
		finish(line, link, (int)json_get_int(answer, "errno", 0),
		       data ? json_object_get_string(data) : "",
		       data ? (size_t)json_object_get_string_len(data) : 0);
		return;
	}
}

static void read_answers(struct askline *line)
{
	for (;;) {
		if (line->room - line->used < 65536) {
			char *larger =
			    line->used < ANSWER_LIMIT ? realloc(line->buffer, line->room + 131072) : NULL;
			if (!larger) {
				disconnect(line);
				return;
			}
			line->buffer = larger;
			line->room += 131072;
		}
		ssize_t got =
		    recv(line->fd, line->buffer + line->used, line->room - line->used, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (got <= 0) {
			disconnect(line);
			return;
		}
		line->used += (size_t)got;
	}
	char *at = line->buffer, *end;
	while ((end = memchr(at, '\n', line->used - (size_t)(at - line->buffer)))) {
		note_answer(line, at, (size_t)(end - at));
		at = end + 1;
	}
	line->used -= (size_t)(at - line->buffer);
	memmove(line->buffer, at, line->used);
}

void askline_work(struct askline *line)
{
	if (line->fd >= 0)
		read_answers(line);
	send_questions(line);
	int64_t now = clock_monotonic_ms();
	for (struct question **link = &line->list; *link;) {
		struct question *question = *link;
		bool late = now >= question->deadline_ms ||
			    (!question->sent && now - question->away_ms >= AWAY_TIMEOUT_MS);
		if (late)
			finish(line, link, EIO, "", 0);
		else
			link = &question->following;
	}
}
