#include "lib/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"

enum { CONNECT_TIMEOUT_MS = 5000, ANSWER_LIMIT = 8 << 20 };

struct http_client {
	CURL *curl;
	char *base;                 /* https://PEER:PORT */
	struct curl_slist *resolve; /* PEER:PORT:ADDRESS */
	char *ca_file, *cert_file, *key_file, *pin;
	int dead_ms; /* 0: as long as TCP likes */
};

struct answer_buffer {
	char *text;
	size_t length;
};

struct http_client *http_client_new(const struct http_identity *identity, const char *peer,
				    const char *address, int port)
{
	struct http_client *client = calloc(1, sizeof(*client));
	if (!client || !(client->curl = curl_easy_init()))
		abort();
	client->base = format_string("https://%s:%d", peer, port);
	autofree char *resolve = format_string("%s:%d:%s", peer, port, address);
	client->resolve = curl_slist_append(NULL, resolve);
	client->ca_file = identity->ca_file ? strdup(identity->ca_file) : NULL;
	client->cert_file = identity->cert_file ? strdup(identity->cert_file) : NULL;
	client->key_file = identity->key_file ? strdup(identity->key_file) : NULL;
	client->pin = identity->pin ? strdup(identity->pin) : NULL;
	return client;
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	curl_slist_free_all(client->resolve);
	free(client->base);
	free(client->ca_file);
	free(client->cert_file);
	free(client->key_file);
	free(client->pin);
	free(client);
}

void http_client_set_dead_ms(struct http_client *client, int ms)
{
	client->dead_ms = ms;
}

static int set_socket_options(void *context, curl_socket_t fd, curlsocktype purpose)
{
	const struct http_client *client = context;
	(void)purpose;
	return setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &client->dead_ms, sizeof(client->dead_ms)) < 0
		   ? CURL_SOCKOPT_ERROR
		   : CURL_SOCKOPT_OK;
}

static void free_slist(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

/* Everything but the method and the callbacks; keeps the connection. Headers must live until the request is
 * done. */
static struct curl_slist *client_prepare(struct http_client *client, const char *url, json_object *body,
					 int64_t epoch, const char *request_id)
{
	CURL *curl = client->curl;
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_RESOLVE, client->resolve);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	if (client->dead_ms) {
		curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, set_socket_options);
		curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, client);
	}
	curl_easy_setopt(curl, CURLOPT_SSLCERT, client->cert_file);
	curl_easy_setopt(curl, CURLOPT_SSLKEY, client->key_file);
	curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, client->pin);
	/* Our CA alone: the system's would be believed too, and reading all of them takes 100 ms a
	 * connection. */
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
	if (!client->ca_file) {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}

	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	if (epoch >= 0) {
		autofree char *header = format_string("X-Float-Epoch: %lld", (long long)epoch);
		headers = curl_slist_append(headers, header);
	}
	if (request_id) {
		autofree char *header = format_string("X-Float-Request: %s", request_id);
		headers = curl_slist_append(headers, header);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	if (body) {
		size_t length;
		const char *text = json_object_to_json_string_length(body, JSON_C_TO_STRING_PLAIN, &length);
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	}
	return headers;
}

/* Which errno tells the caller whether the agent can have seen the request: see the header. */
static int transport_error(struct http_client *client, CURLcode status, struct error *err)
{
	/* libcurl sends a request anew when a connection that was kept turns out dead: the first may have arrived. */
	long os_errno = 0, sent = 0;
	curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &os_errno);
	curl_easy_getinfo(client->curl, CURLINFO_REQUEST_SIZE, &sent);
	int code = ECONNRESET;
	if (status == CURLE_OPERATION_TIMEDOUT)
		code = ETIMEDOUT;
	else if (status == CURLE_COULDNT_CONNECT && !sent)
		code = os_errno == EHOSTUNREACH || os_errno == ENETUNREACH ? EHOSTUNREACH : ECONNREFUSED;
	else if (status == CURLE_PEER_FAILED_VERIFICATION || status == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
		code = EACCES;
	return error_set(err, code, "%s did not answer: %s", client->base, curl_easy_strerror(status));
}

bool http_is_silence(int64_t code)
{
	return code == ECONNREFUSED || code == ECONNRESET || code == EHOSTUNREACH || code == ETIMEDOUT ||
	       code == EPROTO;
}

static int agent_error(struct http_client *client, long http_status, const char *text, size_t length,
		       struct error *err)
{
	autojson json_object *refusal = NULL;
	if (json_parse_object(text, length, &refusal, NULL) < 0)
		return error_set(err, EPROTO, "%s answered with HTTP status %ld and no reason", client->base,
				 http_status);
	int64_t code = json_get_int(refusal, "errno", EIO);
	bool usable = code > 0 && code < 4096 && !http_is_silence(code);
	return error_set(err, usable ? (int)code : EIO, "%s",
			 json_get_string(refusal, "sentence", "the agent refused without a reason"));
}

static size_t append_answer(char *data, size_t size, size_t count, void *context)
{
	struct answer_buffer *answer = context;
	size_t more = size * count;
	if (answer->length + more > ANSWER_LIMIT)
		return 0;
	char *larger = realloc(answer->text, answer->length + more + 1);
	if (!larger)
		return 0;
	memcpy(larger + answer->length, data, more);
	answer->text = larger;
	answer->length += more;
	larger[answer->length] = '\0';
	return more;
}

int http_request(struct http_client *client, const char *path, json_object *body, int64_t epoch,
		 const char *request_id, int timeout_ms, json_object **answer, struct error *err)
{
	autofree char *url = format_string("%s%s", client->base, path);
	__attribute__((cleanup(free_slist), unused)) struct curl_slist *headers =
	    client_prepare(client, url, body, epoch, request_id);
	struct answer_buffer buffer = { 0 };
	curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, append_answer);
	curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &buffer);
	CURLcode status = curl_easy_perform(client->curl);
	autofree char *text = buffer.text;
	if (status != CURLE_OK)
		return transport_error(client, status, err);
	long http_status = 0;
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &http_status);
	if (http_status < 200 || http_status > 299)
		return agent_error(client, http_status, text ? text : "", buffer.length, err);
	autojson json_object *parsed = NULL;
	if (json_parse_object(text ? text : "", buffer.length, &parsed, NULL) < 0)
		return error_set(err, EPROTO, "%s answered with something that is no answer", client->base);
	if (answer)
		*answer = take_pointer(parsed);
	return 0;
}

struct bytes_context {
	struct http_client *client;
	char *buffer;
	size_t size, length;
	struct answer_buffer refusal;
};

static size_t take_bytes(char *data, size_t size, size_t count, void *context)
{
	struct bytes_context *bytes = context;
	long http_status = 0;
	curl_easy_getinfo(bytes->client->curl, CURLINFO_RESPONSE_CODE, &http_status);
	if (http_status < 200 || http_status > 299)
		return append_answer(data, size, count, &bytes->refusal);
	if (size * count > bytes->size - bytes->length)
		return 0;
	memcpy(bytes->buffer + bytes->length, data, size * count);
	bytes->length += size * count;
	return size * count;
}

int http_bytes(struct http_client *client, const char *path, json_object *body, int64_t epoch, int timeout_ms,
	       void *buffer, size_t size, size_t *length, struct error *err)
{
	autofree char *url = format_string("%s%s", client->base, path);
	__attribute__((cleanup(free_slist), unused)) struct curl_slist *headers =
	    client_prepare(client, url, body, epoch, NULL);
	struct bytes_context bytes = { .client = client, .buffer = buffer, .size = size };
	curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &bytes);
	CURLcode status = curl_easy_perform(client->curl);
	autofree char *refusal = bytes.refusal.text;
	if (status != CURLE_OK)
		return transport_error(client, status, err);
	long http_status = 0;
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &http_status);
	if (http_status < 200 || http_status > 299)
		return agent_error(client, http_status, refusal ? refusal : "", bytes.refusal.length, err);
	*length = bytes.length;
	return 0;
}

struct stream_context {
	struct http_client *client;
	int (*data)(const void *bytes, size_t length, void *context);
	int (*tick)(void *context);
	void *context;
	struct answer_buffer refusal;
	bool cancelled;
};

static size_t stream_data(char *data, size_t size, size_t count, void *context)
{
	struct stream_context *stream = context;
	long http_status = 0;
	curl_easy_getinfo(stream->client->curl, CURLINFO_RESPONSE_CODE, &http_status);
	if (http_status < 200 || http_status > 299)
		return append_answer(data, size, count, &stream->refusal);
	if (stream->data(data, size * count, stream->context) != 0) {
		stream->cancelled = true;
		return 0;
	}
	return size * count;
}

static int stream_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total,
			   curl_off_t up_now)
{
	struct stream_context *stream = context;
	(void)total;
	(void)now;
	(void)up_total;
	(void)up_now;
	if (stream->tick && stream->tick(stream->context) != 0)
		stream->cancelled = true;
	return stream->cancelled;
}

int http_stream(struct http_client *client, const char *path, json_object *body, int64_t epoch,
		int (*data)(const void *bytes, size_t length, void *context), int (*tick)(void *context),
		void *context, struct error *err)
{
	autofree char *url = format_string("%s%s", client->base, path);
	__attribute__((cleanup(free_slist), unused)) struct curl_slist *headers =
	    client_prepare(client, url, body, epoch, NULL);
	struct stream_context stream = { .client = client, .data = data, .tick = tick, .context = context };
	curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, stream_data);
	curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &stream);
	curl_easy_setopt(client->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(client->curl, CURLOPT_XFERINFOFUNCTION, stream_progress);
	curl_easy_setopt(client->curl, CURLOPT_XFERINFODATA, &stream);
	/* An agent says that it is alive each second: ten silent ones are a dead connection. */
	curl_easy_setopt(client->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(client->curl, CURLOPT_LOW_SPEED_TIME, 10L);
	CURLcode status = curl_easy_perform(client->curl);
	autofree char *refusal = stream.refusal.text;
	if (stream.cancelled)
		return error_set(err, ECANCELED, "the stream was ended");
	if (status != CURLE_OK)
		return transport_error(client, status, err);
	long http_status = 0;
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &http_status);
	if (http_status < 200 || http_status > 299)
		return agent_error(client, http_status, refusal ? refusal : "", stream.refusal.length, err);
	return 0;
}
