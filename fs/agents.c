#include "fs/agents.h"

#include <errno.h>
#include <string.h>

#include "fs/authority.h"
#include "fs/faults.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/pki.h"

enum { ENROL_TRY_MS = 2000, ENROL_PAUSE_MS = 20, ENROL_GLANCE_MS = 2, STATE_TIMEOUT_MS = 5000 };

static void free_client(struct http_client **client)
{
	http_client_free(*client);
}
#define autoclient __attribute__((cleanup(free_client)))

json_object *agents_enrolment(struct floatfs *fs, const char *secret)
{
	json_object *enrolment = json_object_new_object();
	json_set_string(enrolment, "secret", secret);
	json_set_string(enrolment, "ca_pin", authority_pin(fs->authority));
	return enrolment;
}

struct http_client *agents_connect(struct floatfs *fs, const char *host, const char *address)
{
	struct http_identity identity = authority_identity(fs->authority);
	return http_client_new(&identity, host, address, AGENT_PORT);
}

/* Nobody is trusted yet: what comes back must prove by the secret that the key is the new host's own. */
static int read_public_key(struct floatfs *fs, const char *host, const char *address, const char *secret,
			   char **public_pem, struct error *err)
{
	struct http_identity identity = authority_identity(fs->authority);
	identity.ca_file = NULL;
	autoclient struct http_client *client = http_client_new(&identity, host, address, AGENT_PORT);
	autojson json_object *answer = NULL;
	int status = http_request(client, "/v1/enrol", NULL, -1, NULL, ENROL_TRY_MS, &answer, err);
	if (status < 0)
		return status;
	const char *public = json_get_string(answer, "public_key", "");
	char proof[PKI_HASH_HEX];
	status = pki_proof(secret, public, proof, err);
	if (status < 0)
		return status;
	if (pki_compare(proof, json_get_string(answer, "proof", "")))
		return error_set(err, EACCES, "what answers at %s is not host %s: its proof is wrong",
				 address, host);
	*public_pem = strdup(public);
	return *public_pem ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int give_certificate(struct floatfs *fs, const char *host, const char *address, const char *public_pem,
			    struct error *err)
{
	autofree char *cert = NULL, *pin = NULL;
	int status = authority_issue(fs->authority, public_pem, host, &cert, err);
	if (status == 0)
		status = pki_public_key_pin(public_pem, &pin, err);
	if (status < 0)
		return status;
	autojson json_object *body = json_object_new_object();
	json_set_string(body, "certificate", cert);
	json_set_string(body, "ca", authority_certificate(fs->authority));
	struct http_identity identity = authority_identity(fs->authority);
	identity.ca_file = NULL;
	identity.pin = pin;
	autoclient struct http_client *client = http_client_new(&identity, host, address, AGENT_PORT);
	return http_request(client, "/v1/enrol", body, -1, NULL, ENROL_TRY_MS, NULL, err);
}

/* Whether it has our certificate already. */
static int check_enrolled(struct floatfs *fs, const char *host, const char *address, struct error *err)
{
	autoclient struct http_client *client = agents_connect(fs, host, address);
	return http_request(client, "/v1/state", NULL, -1, NULL, ENROL_TRY_MS, NULL, err);
}

static int try_enrol(struct floatfs *fs, const char *host, const char *address, const char *secret,
		     struct error *err)
{
	autofree char *public_pem = NULL;
	int status = read_public_key(fs, host, address, secret, &public_pem, err);
	if (status == 0)
		status = give_certificate(fs, host, address, public_pem, err);
	/* An agent that was enrolled before this floatfs was killed answers to our certificate only. */
	if (status < 0 && err->code != ECONNREFUSED && err->code != EHOSTUNREACH && err->code != ETIMEDOUT)
		return check_enrolled(fs, host, address, &(struct error){ 0 }) == 0 ? 0 : status;
	return status;
}

int agents_enrol(struct floatfs *fs, const char *host, const char *address, const char *secret,
		 const struct agents_wait *wait, struct error *err)
{
	int64_t deadline = clock_monotonic_ms() + wait->timeout_ms;
	bool given = false;
	for (;;) {
		given = given || try_enrol(fs, host, address, secret, err) == 0;
		/* The agent takes its new certificate by opening its port anew. */
		if (given && check_enrolled(fs, host, address, err) == 0)
			return 0;
		if (clock_monotonic_ms() > deadline) {
			error_prefix(err, "host %s did not come up in %lld s: ", host,
				     (long long)wait->timeout_ms / 1000);
			err->code = ETIMEDOUT;
			return -ETIMEDOUT;
		}
		struct error useless = { 0 };
		if (wait->check(wait->context, &useless) < 0) {
			*err = useless;
			return -err->code;
		}
		if (!fs_wait(fs, given ? ENROL_GLANCE_MS : ENROL_PAUSE_MS))
			return error_set(err, ECANCELED, "floatfs is stopping");
	}
}

static void add_fault(json_object *body, const char *verb, const char *kind)
{
	autofree char *fault = format_string("%s" FAULTS_ANSWER ":%s", verb, kind);
	json_object *faults = json_get_array(body, "faults");
	if (!faults)
		json_object_object_add(body, "faults", faults = json_object_new_array());
	json_object_array_add(faults, json_object_new_string(fault));
}

int agents_call(struct floatfs *fs, const char *host, const char *address, const char *job, const char *verb,
		json_object *body, int64_t epoch, const char *request_id, int timeout_ms,
		json_object **answer, struct error *err)
{
	autofree char *path = format_string("/v1/jobs/%s%s%s", job, *verb ? "/" : "", verb);
	autoclient struct http_client *client = agents_connect(fs, host, address);
	const char *fault = body ? faults_take_answer(fs->faults, job) : NULL;
	if (fault && !strcmp(fault, FAULTS_TWICE))
		http_request(client, path, body, epoch, request_id, timeout_ms, NULL, &(struct error){ 0 });
	else if (fault)
		add_fault(body, verb, fault);
	return http_request(client, path, body, epoch, request_id, timeout_ms, answer, err);
}

int agents_clock_offset(struct floatfs *fs, const char *host, const char *address, int64_t *offset_ns,
			struct error *err)
{
	autoclient struct http_client *client = agents_connect(fs, host, address);
	autojson json_object *state = NULL;
	/* The first request opens the connection; the second measures. */
	int status = http_request(client, "/v1/state", NULL, -1, NULL, STATE_TIMEOUT_MS, NULL, err);
	int64_t before = clock_now_ns();
	if (status == 0)
		status = http_request(client, "/v1/state", NULL, -1, NULL, STATE_TIMEOUT_MS, &state, err);
	if (status < 0)
		return status;
	int64_t after = clock_now_ns();
	int64_t offset = json_get_int(state, "now_ns", before) - (before + after) / 2;
	*offset_ns = llabs(offset) > after - before ? offset : 0;
	return 0;
}
