#include "agent/server.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "agent/faults.h"
#include "agent/routes.h"
#include "agent/tail.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
	BODY_LIMIT = 8 << 20,
	CONNECTION_MEMORY = 256 << 10,
	NAME_SIZE = 128,
};

struct server {
	struct agent *agent;
	struct MHD_Daemon *daemon;
};

/* One TLS connection. */
struct peer_connection {
	struct server *server;
	char name[NAME_SIZE]; /* of a verified certificate; "" before */
};

/* One request while it comes in. */
struct incoming {
	char *body;
	size_t used, room;
	bool too_long;
};

static struct peer_connection *connection_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return info ? info->socket_context : NULL;
}

static void note_connection(void *context, struct MHD_Connection *connection, void **socket_context,
			    enum MHD_ConnectionNotificationCode code)
{
	(void)connection;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		free(*socket_context);
		*socket_context = NULL;
		return;
	}
	struct peer_connection *peer = calloc(1, sizeof(*peer));
	if (peer)
		peer->server = context;
	*socket_context = peer;
}

/* In the handshake, once the client's certificate is here. Non-zero ends it. */
static int verify_client(gnutls_session_t session)
{
	struct peer_connection *peer = connection_of(gnutls_session_get_ptr(session));
	char name[NAME_SIZE];
	if (!peer || enrol_verify_peer(peer->server->agent->enrol, session, name, sizeof(name)) < 0)
		return GNUTLS_E_CERTIFICATE_ERROR;
	memcpy(peer->name, name, sizeof(name));
	return 0;
}

/*
 * In the handshake, before the server's certificate is sent: which one that is changes with the enrolment.
 * libmicrohttpd keeps the connection in the session's pointer.
 */
static int choose_certificate(gnutls_session_t session, const gnutls_datum_t *authorities,
			      int authority_count, const gnutls_pk_algorithm_t *algorithms,
			      int algorithm_count, gnutls_pcert_st **certificate, unsigned *certificate_count,
			      gnutls_privkey_t *key)
{
	(void)authorities;
	(void)authority_count;
	(void)algorithms;
	(void)algorithm_count;
	struct peer_connection *peer = connection_of(gnutls_session_get_ptr(session));
	if (!peer)
		return -1;
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
	/* A client would pick its certificate by our list of authorities, and before enrolment we have none.
	 */
	gnutls_certificate_send_x509_rdn_sequence(session, 1);
	gnutls_session_set_verify_function(session, verify_client);
	enrol_credentials(peer->server->agent->enrol, certificate, key);
	*certificate_count = 1;
	return 0;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, int status, const char *text)
{
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
	MHD_destroy_response(response);
	return result;
}

/* answer may be NULL; borrowed. */
static char *refusal_text(json_object *answer, const struct error *err)
{
	autojson json_object *refusal = answer ? json_object_get(answer) : json_object_new_object();
	json_set_int(refusal, "errno", err->code);
	json_set_string(refusal, "sentence", err->text);
	return format_string("%s", json_object_to_json_string_ext(
				       refusal, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static enum MHD_Result send_refusal(struct MHD_Connection *connection, const struct error *err)
{
	autofree char *text = refusal_text(NULL, err);
	return send_text(connection, routes_http_status(err->code), text);
}

static int read_epoch(struct MHD_Connection *connection, int64_t *epoch, struct error *err)
{
	const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Float-Epoch");
	*epoch = -1;
	if (!text)
		return 0;
	char *end;
	errno = 0;
	*epoch = strtoll(text, &end, 10);
	if (errno || end == text || *end || *epoch < 0)
		return error_set(err, EINVAL, "X-Float-Epoch is not a number");
	return 0;
}

/* Do it, whatever it is; *text is the answer's body, caller frees. The HTTP status. */
static int run_handler(struct call *call, char **text)
{
	autojson json_object *answer = NULL;
	struct error err = { 0 };
	int status = call->route->handler(call, &answer, &err);
	if (status == 0) {
		*text = format_string(
		    "%s", answer ? json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN |
									      JSON_C_TO_STRING_NOSLASHESCAPE)
				 : "{}");
		return MHD_HTTP_OK;
	}
	if (err.code != -status)
		error_set(&err, -status, "%s failed: %s", call->route->path, strerror(-status));
	log_info("%s %s%s%s: %s", call->route->method, call->route->path, *call->id ? " of job " : "",
		 call->id, err.text);
	*text = refusal_text(answer, &err);
	return routes_http_status(err.code);
}

/* For the fault switch. A connection that ends in the middle of an answer has no other way to come about. */
static ssize_t read_half(void *context, uint64_t position, char *buffer, size_t size)
{
	const char *text = context;
	size_t half = strlen(text) / 2;
	if (position >= half)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	size_t length = half - position < size ? half - position : size;
	memcpy(buffer, text + position, length);
	return (ssize_t)length;
}

static enum MHD_Result send_half(struct MHD_Connection *connection, int status, const char *text)
{
	char *copy = format_string("%s", text);
	struct MHD_Response *response =
	    MHD_create_response_from_callback(strlen(copy), 4096, read_half, copy, free);
	if (!response) {
		free(copy);
		return MHD_NO;
	}
	enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, const struct call *call, int status,
				   const char *text)
{
	const char *fault =
	    faults_of_answer(json_get_array(call->body, "faults"), strrchr(call->route->path, '/') + 1);
	if (!fault)
		return send_text(connection, status, text);
	return strcmp(fault, "half") ? send_text(connection, MHD_HTTP_OK, "<html>It works!</html>")
				     : send_half(connection, status, text);
}

static enum MHD_Result answer_once(struct MHD_Connection *connection, struct call *call)
{
	autofree char *text = NULL;
	const char *request_id = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Float-Request");
	if (!request_id) {
		int status = run_handler(call, &text);
		return send_answer(connection, call, status, text);
	}
	autofree char *what = format_string("%s %s %s", call->route->method, call->route->path, call->id);
	struct requests *requests = call->agent->requests;
	struct error err = { 0 };
	int status;
	int kept = requests_begin(requests, request_id, what, &status, &text, &err);
	if (kept < 0)
		return send_refusal(connection, &err);
	if (kept == 0) {
		status = run_handler(call, &text);
		requests_end(requests, request_id, what, status, text);
	}
	return send_answer(connection, call, status, text);
}

static enum MHD_Result answer_bytes(struct MHD_Connection *connection, struct call *call)
{
	struct error err = { 0 };
	void *data = NULL;
	size_t length = 0;
	if (jobs_read(call->agent->jobs, call->id, call->epoch, call->body, &data, &length, &err) < 0)
		return send_refusal(connection, &err);
	struct MHD_Response *response =
	    MHD_create_response_from_buffer_with_free_callback(length, data, free);
	if (!response) {
		free(data);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
	enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

static ssize_t read_stream(void *context, uint64_t position, char *buffer, size_t size)
{
	(void)position;
	ssize_t got = stream_read(context, buffer, size);
	return got < 0 ? MHD_CONTENT_READER_END_OF_STREAM : got;
}

static void close_stream(void *context)
{
	stream_close(context);
}

static enum MHD_Result answer_stream(struct MHD_Connection *connection, struct call *call)
{
	struct error err = { 0 };
	int status = call->route->handler(call, NULL, &err);
	if (status < 0)
		return send_refusal(connection, &err);
	struct stream *stream =
	    stream_open(call->agent->streams, call->id, json_get_array(call->body, "have"));
	struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, TAIL_BURST + 1024,
									  read_stream, stream, close_stream);
	if (!response) {
		stream_close(stream);
		return MHD_NO;
	}
	enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

/* The whole request is here. */
static enum MHD_Result answer(struct MHD_Connection *connection, const char *url, const char *method,
			      struct incoming *incoming)
{
	struct peer_connection *peer = connection_of(connection);
	if (!peer || !*peer->name)
		return MHD_NO;
	struct call call = { .agent = peer->server->agent, .peer = peer->name };
	struct error err = { 0 };
	autojson json_object *body = NULL;
	bool known;
	call.route = routes_find(method, url, call.id, &known);
	if (!call.route)
		error_set(&err, ENOENT, known ? "%s is not asked with %s" : "there is no %s to %s",
			  known ? url : method, known ? method : url);
	else if (routes_check_caller(&call, &err) == 0 && read_epoch(connection, &call.epoch, &err) == 0) {
		if (incoming->too_long)
			error_set(&err, EFBIG, "the request is longer than %d bytes", BODY_LIMIT);
		else if (incoming->used == 0)
			body = json_object_new_object();
		else
			json_parse_object(incoming->body, incoming->used, &body, &err);
	}
	if (err.code)
		return send_refusal(connection, &err);
	call.body = body;
	if (!call.route->handler)
		return answer_bytes(connection, &call);
	return call.route->stream ? answer_stream(connection, &call) : answer_once(connection, &call);
}

static enum MHD_Result take_body(struct incoming *incoming, const char *data, size_t size)
{
	if (incoming->too_long || incoming->used + size > BODY_LIMIT) {
		/* Read on to be able to answer, but keep nothing. */
		incoming->too_long = true;
		return MHD_YES;
	}
	if (incoming->room - incoming->used < size) {
		size_t room = (incoming->used + size) * 2;
		char *larger = realloc(incoming->body, room);
		if (!larger)
			return MHD_NO;
		incoming->body = larger;
		incoming->room = room;
	}
	memcpy(incoming->body + incoming->used, data, size);
	incoming->used += size;
	return MHD_YES;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **request)
{
	(void)context;
	(void)version;
	struct incoming *incoming = *request;
	if (!incoming) {
		*request = calloc(1, sizeof(*incoming));
		return *request ? MHD_YES : MHD_NO;
	}
	if (*upload_size > 0) {
		size_t size = *upload_size;
		*upload_size = 0;
		return take_body(incoming, upload, size);
	}
	return answer(connection, url, method, incoming);
}

static void forget_request(void *context, struct MHD_Connection *connection, void **request,
			   enum MHD_RequestTerminationCode code)
{
	(void)context;
	(void)connection;
	(void)code;
	struct incoming *incoming = *request;
	if (incoming)
		free(incoming->body);
	free(incoming);
	*request = NULL;
}

/* What libmicrohttpd has to say is about connections that others broke. */
static void note_server(void *context, const char *format, va_list args)
{
	(void)context;
	char text[400];
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("%s", text);
}

struct server *server_start(struct agent *agent, int port, struct error *err)
{
	struct server *server = calloc(1, sizeof(*server));
	if (!server)
		abort();
	server->agent = agent;
	server->daemon = MHD_start_daemon(
	    MHD_USE_TLS | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
		MHD_USE_ERROR_LOG,
	    (uint16_t)port, NULL, NULL, handle, server, MHD_OPTION_EXTERNAL_LOGGER, note_server, NULL,
	    MHD_OPTION_HTTPS_CERT_CALLBACK, choose_certificate, MHD_OPTION_HTTPS_PRIORITIES,
	    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", MHD_OPTION_NOTIFY_CONNECTION, note_connection,
	    server, MHD_OPTION_NOTIFY_COMPLETED, forget_request, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
	if (server->daemon)
		return server;
	error_set(err, EADDRINUSE, "cannot listen on port %d: is another agent running", port);
	free(server);
	return NULL;
}

void server_stop(struct server *server)
{
	MHD_stop_daemon(server->daemon);
	free(server);
}
