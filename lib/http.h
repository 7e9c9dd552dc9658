/*
 * The client's side of the wire (DESIGN section 7): HTTP/1.1 over TLS, client certificates, JSON bodies.
 * A client is one kept-alive connection to one agent: one thread uses it at a time.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

struct http_client;

/* Files on disk (PEM), as libcurl wants them; copied. */
struct http_identity {
	const char *ca_file; /* NULL: do not verify the peer (enrolment only) */
	const char *cert_file;
	const char *key_file;
	const char
	    *pin; /* sha256//BASE64 of the peer's public key, or NULL; with a pin ca_file may be NULL */
};

/*
 * peer is the name that its certificate must bear (a host id); address:port is where it is.
 * Does not connect yet. Never returns NULL.
 */
struct http_client *http_client_new(const struct http_identity *identity, const char *peer,
				    const char *address, int port);
void http_client_free(struct http_client *client);

/* A peer whose machine does not even acknowledge what was sent for so long is taken for dead: -ECONNRESET. Without it
 * only a request's own timeout tells. */
void http_client_set_dead_ms(struct http_client *client, int ms);

/*
 * One request. body may be NULL (then it is a GET, else a POST). epoch < 0: none sent. request_id NULL: none.
 * On 2xx *answer (may be NULL) is the caller's to put. On another status the agent's own errno and sentence
 * become the error. When the agent did not answer: -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, or -ECONNRESET
 * if the request may have reached it. -EPROTO: it answered, but nothing that says what came of it.
 */
int http_request(struct http_client *client, const char *path, json_object *body, int64_t epoch,
		 const char *request_id, int timeout_ms, json_object **answer, struct error *err);

/* Of such an error's code: it did not answer, or nothing that says anything. A refusal never has one of these. */
bool http_is_silence(int64_t code);

/* One POST whose answer is bytes, at most size of them: *length is how many. The rest as http_request. */
int http_bytes(struct http_client *client, const char *path, json_object *body, int64_t epoch, int timeout_ms,
	       void *buffer, size_t size, size_t *length, struct error *err);

/*
 * One request whose answer is a stream: data is called with each piece as it arrives, in the calling thread;
 * it returns 0 to go on. tick is called at least each second. Returns when the agent ends the stream (0),
 * when a callback returns non-zero (-ECANCELED), or on an error.
 */
int http_stream(struct http_client *client, const char *path, json_object *body, int64_t epoch,
		int (*data)(const void *bytes, size_t length, void *context), int (*tick)(void *context),
		void *context, struct error *err);
