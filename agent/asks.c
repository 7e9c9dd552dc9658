#include "agent/asks.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum { LINE_LIMIT = 64 << 10, SOCKETS_LIMIT = 64, PENDING_LIMIT = 256 };

/* A listening socket, or a connection accepted from one. */
struct ask_socket {
	int fd;
	bool listens;
	bool gone; /* to be closed by the thread */
	char *id;  /* of the job */
	uint64_t serial;
	char *line; /* what has come so far */
	size_t used;
};

struct ask {
	struct ask *following;
	int64_t number;  /* the controller's */
	int64_t asked;   /* the keeper's */
	uint64_t serial; /* of the socket that it came by */
	uint64_t stream; /* which was given it last */
	int64_t deadline_ms;
	char *id;
	json_object *frame;
};

struct asks {
	pthread_mutex_t lock;
	pthread_t thread;
	int wake_fd;
	bool stopping;
	int64_t last_number;
	uint64_t last_serial;
	struct ask_socket sockets[SOCKETS_LIMIT];
	size_t socket_count;
	struct ask *pending; /* oldest first */
	size_t pending_count;
	void (*ring)(void *context, const char *id);
	void *context;
};

static void wake_thread(struct asks *asks)
{
	uint64_t one = 1;
	if (write(asks->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: then it is awake anyway */
}

static void free_ask(struct ask *ask)
{
	json_object_put(ask->frame);
	free(ask->id);
	free(ask);
}

/* Those below are called with the lock. */

static void send_line(struct asks *asks, uint64_t serial, int64_t asked, int code, const char *data,
		      size_t length)
{
	autojson json_object *line = json_object_new_object();
	json_set_int(line, "ask", asked);
	json_set_int(line, "errno", code);
	if (data)
		json_object_object_add(line, "data", json_object_new_string_len(data, (int)length));
	autofree char *text =
	    format_string("%s\n", json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN));
	for (size_t i = 0; i < asks->socket_count; i++) {
		struct ask_socket *to = &asks->sockets[i];
		if (to->serial != serial || to->listens || to->gone)
			continue;
		size_t size = strlen(text);
		/* A keeper that does not read is not waited for: it connects again. */
		if (send(to->fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size) {
			to->gone = true;
			wake_thread(asks);
		}
	}
}

static void drop_asks(struct asks *asks, uint64_t serial)
{
	for (struct ask **link = &asks->pending; *link;) {
		struct ask *ask = *link;
		if (ask->serial != serial) {
			link = &ask->following;
			continue;
		}
		*link = ask->following;
		asks->pending_count--;
		free_ask(ask);
	}
}

static void expire_asks(struct asks *asks)
{
	int64_t now = clock_monotonic_ms();
	while (asks->pending && asks->pending->deadline_ms <= now) {
		struct ask *ask = asks->pending;
		log_info("job %s: the controller did not answer %s", ask->id,
			 json_object_to_json_string_ext(ask->frame, JSON_C_TO_STRING_PLAIN));
		send_line(asks, ask->serial, ask->asked, EIO, NULL, 0);
		asks->pending = ask->following;
		asks->pending_count--;
		free_ask(ask);
	}
}

static bool note_line(struct asks *asks, struct ask_socket *from, const char *line, size_t length)
{
	json_object *frame = NULL;
	struct error err;
	if (json_parse_object(line, length, &frame, &err) < 0) {
		log_error("job %s: its keeper sent something that is no request: %s", from->id, err.text);
		return false;
	}
	int64_t asked = json_get_int(frame, "ask", -1);
	if (asks->pending_count >= PENDING_LIMIT) {
		send_line(asks, from->serial, asked, EAGAIN, NULL, 0);
		json_object_put(frame);
		return true;
	}
	struct ask *ask = calloc(1, sizeof(*ask)), **end = &asks->pending;
	if (!ask)
		abort();
	*ask = (struct ask){ .number = ++asks->last_number,
			     .asked = asked,
			     .serial = from->serial,
			     .deadline_ms = clock_monotonic_ms() + ASKS_TIMEOUT_MS,
			     .id = format_string("%s", from->id),
			     .frame = frame };
	json_set_int(frame, "ask", ask->number);
	while (*end)
		end = &(*end)->following;
	*end = ask;
	asks->pending_count++;
	return true;
}

static void read_lines(struct asks *asks, struct ask_socket *from)
{
	ssize_t got = recv(from->fd, from->line + from->used, LINE_LIMIT - from->used, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		from->gone = true;
		return;
	}
	from->used += (size_t)got;
	char *at = from->line, *end;
	while ((end = memchr(at, '\n', from->used - (size_t)(at - from->line)))) {
		if (!note_line(asks, from, at, (size_t)(end - at))) {
			from->gone = true;
			return;
		}
		at = end + 1;
	}
	from->used -= (size_t)(at - from->line);
	memmove(from->line, at, from->used);
	if (from->used == LINE_LIMIT)
		from->gone = true;
}

static struct ask_socket *add_socket(struct asks *asks, int fd, const char *id, bool listens)
{
	if (asks->socket_count == SOCKETS_LIMIT) {
		close(fd);
		return NULL;
	}
	struct ask_socket *added = &asks->sockets[asks->socket_count++];
	*added = (struct ask_socket){
		.fd = fd, .listens = listens, .id = format_string("%s", id), .serial = ++asks->last_serial
	};
	if (!listens && !(added->line = malloc(LINE_LIMIT)))
		abort();
	return added;
}

static void remove_gone(struct asks *asks)
{
	size_t kept = 0;
	for (size_t i = 0; i < asks->socket_count; i++) {
		struct ask_socket *socket = &asks->sockets[i];
		if (!socket->gone) {
			asks->sockets[kept++] = *socket;
			continue;
		}
		drop_asks(asks, socket->serial);
		close(socket->fd);
		free(socket->id);
		free(socket->line);
	}
	asks->socket_count = kept;
}

static void *asks_main(void *argument)
{
	struct asks *asks = argument;
	struct pollfd waiting[SOCKETS_LIMIT + 1];
	uint64_t serials[SOCKETS_LIMIT + 1];
	pthread_mutex_lock(&asks->lock);
	while (!asks->stopping) {
		remove_gone(asks);
		expire_asks(asks);
		size_t count = asks->socket_count;
		waiting[0] = (struct pollfd){ .fd = asks->wake_fd, .events = POLLIN };
		for (size_t i = 0; i < count; i++) {
			waiting[i + 1] = (struct pollfd){ .fd = asks->sockets[i].fd, .events = POLLIN };
			serials[i + 1] = asks->sockets[i].serial;
		}
		int timeout = asks->pending ? 1000 : -1;
		pthread_mutex_unlock(&asks->lock);
		poll(waiting, count + 1, timeout);
		pthread_mutex_lock(&asks->lock);

		uint64_t drained;
		if (waiting[0].revents && read(asks->wake_fd, &drained, sizeof(drained)) < 0)
			continue;
		char *rung[SOCKETS_LIMIT];
		size_t rings = 0;
		for (size_t i = 0; i < count; i++) {
			/* Only this thread removes and reorders: places have not changed, gone ones are
			 * marked. */
			struct ask_socket *socket = &asks->sockets[i];
			if (!waiting[i + 1].revents || socket->gone || socket->serial != serials[i + 1])
				continue;
			if (!socket->listens) {
				read_lines(asks, socket);
				rung[rings++] = format_string("%s", socket->id);
				continue;
			}
			int fd = accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC);
			if (fd >= 0)
				add_socket(asks, fd, socket->id, false);
		}
		pthread_mutex_unlock(&asks->lock);
		for (size_t i = 0; i < rings; i++) {
			asks->ring(asks->context, rung[i]);
			free(rung[i]);
		}
		pthread_mutex_lock(&asks->lock);
	}
	pthread_mutex_unlock(&asks->lock);
	return NULL;
}

struct asks *asks_start(void (*ring)(void *context, const char *id), void *context, struct error *err)
{
	struct asks *asks = calloc(1, sizeof(*asks));
	if (!asks)
		abort();
	pthread_mutex_init(&asks->lock, NULL);
	asks->ring = ring;
	asks->context = context;
	/* A late answer to a number of an earlier agent process must not fit one of ours. */
	asks->last_number = clock_now_ns() / 1000;
	asks->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int status = asks->wake_fd < 0 ? errno : pthread_create(&asks->thread, NULL, asks_main, asks);
	if (status == 0)
		return asks;
	error_sys(err, status, "cannot serve the jobs' own requests");
	free(asks);
	return NULL;
}

void asks_stop(struct asks *asks)
{
	pthread_mutex_lock(&asks->lock);
	asks->stopping = true;
	pthread_mutex_unlock(&asks->lock);
	wake_thread(asks);
	pthread_join(asks->thread, NULL);
	for (size_t i = 0; i < asks->socket_count; i++)
		asks->sockets[i].gone = true;
	remove_gone(asks);
	close(asks->wake_fd);
	pthread_mutex_destroy(&asks->lock);
	free(asks);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* What an earlier agent process listened on. */
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0)
		return -errno;
	return take_fd(fd);
}

void asks_open(struct asks *asks, const char *id, const char *directory)
{
	pthread_mutex_lock(&asks->lock);
	bool known = false;
	for (size_t i = 0; i < asks->socket_count; i++)
		known |= asks->sockets[i].listens && !asks->sockets[i].gone &&
			 strcmp(asks->sockets[i].id, id) == 0;
	if (!known) {
		autofree char *path = format_string("%s/ask.sock", directory);
		int fd = listen_at(path);
		if (fd < 0)
			log_error("job %s: cannot listen at %s: %s", id, path, strerror(-fd));
		else if (!add_socket(asks, fd, id, true))
			log_error("job %s: too many jobs ask at once", id);
	}
	pthread_mutex_unlock(&asks->lock);
	wake_thread(asks);
}

void asks_close(struct asks *asks, const char *id)
{
	pthread_mutex_lock(&asks->lock);
	for (size_t i = 0; i < asks->socket_count; i++)
		if (strcmp(asks->sockets[i].id, id) == 0)
			asks->sockets[i].gone = true;
	pthread_mutex_unlock(&asks->lock);
	wake_thread(asks);
}

bool asks_take(struct asks *asks, const char *id, uint64_t stream, json_object **frame)
{
	*frame = NULL;
	pthread_mutex_lock(&asks->lock);
	for (struct ask *ask = asks->pending; ask && !*frame; ask = ask->following) {
		if (ask->stream >= stream || strcmp(ask->id, id) != 0)
			continue;
		ask->stream = stream;
		/* A copy: the original may be printed by another thread, and printing changes it. */
		if (json_object_deep_copy(ask->frame, frame, NULL) < 0)
			abort();
	}
	pthread_mutex_unlock(&asks->lock);
	return *frame;
}

int asks_answer(struct asks *asks, const char *id, json_object *answer, struct error *err)
{
	int64_t number = json_get_int(answer, "ask", -1);
	int64_t code = json_get_int(answer, "errno", 0);
	const char *data = json_get_string(answer, "data", NULL);
	size_t length = 0;
	if (data)
		length = (size_t)json_object_get_string_len(json_object_object_get(answer, "data"));
	/* The answer to "size" is a number. */
	char number_text[24];
	int64_t size = json_get_int(answer, "size", -1);
	if (!data && size >= 0) {
		length = (size_t)snprintf(number_text, sizeof(number_text), "%lld", (long long)size);
		data = number_text;
	}
	if (code < 0 || code > 4095)
		return error_set(err, EINVAL, "an answer needs \"ask\", \"errno\" and \"data\" or \"size\"");
	int status = -ENOENT;
	pthread_mutex_lock(&asks->lock);
	for (struct ask **link = &asks->pending; *link; link = &(*link)->following) {
		struct ask *ask = *link;
		if (ask->number != number || strcmp(ask->id, id) != 0)
			continue;
		send_line(asks, ask->serial, ask->asked, (int)code, data, length);
		*link = ask->following;
		asks->pending_count--;
		free_ask(ask);
		status = 0;
		break;
	}
	pthread_mutex_unlock(&asks->lock);
	return status < 0
		   ? error_set(err, ENOENT, "nobody waits for an answer to request %lld", (long long)number)
		   : 0;
}
