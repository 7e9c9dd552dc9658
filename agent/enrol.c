#include "agent/enrol.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/pki.h"

enum { PEM_LIMIT = 64 << 10, DEFAULT_PORT = 7433, CHAIN_LIMIT = 8 };

struct enrol {
	char *enrolment_file, *host, *pin;
	char *key_file, *cert_file, *ca_file;
	int port;
	char *key_pem, *public_pem;
	char proof[PKI_HASH_HEX];

	/* Made once and then read by handshakes without the lock. */
	gnutls_privkey_t key;
	gnutls_pcert_st own, issued;
	bool has_own, has_issued;
	gnutls_x509_crt_t ca;

	pthread_mutex_t lock; /* for enrol_accept */
	bool done;            /* atomic: issued and ca are there */
};

const char *enrol_host(struct enrol *enrol)
{
	return enrol->host;
}

int enrol_port(struct enrol *enrol)
{
	return enrol->port;
}

bool enrol_done(struct enrol *enrol)
{
	return __atomic_load_n(&enrol->done, __ATOMIC_ACQUIRE);
}

static gnutls_datum_t datum_of(const char *text)
{
	return (gnutls_datum_t){ .data = (unsigned char *)text, .size = (unsigned)strlen(text) };
}

static int tls_error(struct error *err, int status, const char *what)
{
	return error_set(err, EINVAL, "%s: %s", what, gnutls_strerror(status));
}

static int import_ca(const char *pem, gnutls_x509_crt_t *ca, struct error *err)
{
	gnutls_datum_t datum = datum_of(pem);
	gnutls_x509_crt_t fresh;
	int status = gnutls_x509_crt_init(&fresh);
	if (status < 0)
		return tls_error(err, status, "cannot read the CA certificate");
	status = gnutls_x509_crt_import(fresh, &datum, GNUTLS_X509_FMT_PEM);
	if (status < 0) {
		gnutls_x509_crt_deinit(fresh);
		return tls_error(err, status, "cannot read the CA certificate");
	}
	*ca = fresh;
	return 0;
}

/* Is the first of the certificates signed by the CA, and valid now? */
static bool chain_is_good(gnutls_x509_crt_t ca, gnutls_x509_crt_t *chain, unsigned count)
{
	gnutls_x509_trust_list_t trust;
	if (gnutls_x509_trust_list_init(&trust, 0) < 0)
		return false;
	unsigned verdict = GNUTLS_CERT_INVALID;
	bool good = gnutls_x509_trust_list_add_cas(trust, &ca, 1, 0) == 1 &&
		    gnutls_x509_trust_list_verify_crt(trust, chain, count, 0, &verdict, NULL) == 0 &&
		    verdict == 0;
	gnutls_x509_trust_list_deinit(trust, 0);
	return good;
}

static bool has_pin(gnutls_x509_crt_t certificate, const char *pin)
{
	unsigned char hash[32];
	size_t size = sizeof(hash);
	char hex[PKI_HASH_HEX];
	if (gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, hash, &size) < 0 ||
	    size != sizeof(hash))
		return false;
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	return pki_compare(hex, pin) == 0;
}

static bool chain_is_trusted(struct enrol *enrol, gnutls_x509_crt_t *chain, unsigned count, const char *name)
{
	if (enrol_done(enrol))
		return chain_is_good(enrol->ca, chain, count);
	if (strcmp(name, PKI_CONTROLLER) != 0)
		return false;
	for (unsigned i = 1; i < count; i++)
		if (has_pin(chain[i], enrol->pin) && chain_is_good(chain[i], chain, count))
			return true;
	return false;
}

int enrol_verify_peer(struct enrol *enrol, gnutls_session_t session, char *name, size_t size)
{
	unsigned count = 0;
	const gnutls_datum_t *given = gnutls_certificate_get_peers(session, &count);
	if (!given || count == 0 || count > CHAIN_LIMIT ||
	    gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_X509)
		return -EACCES;
	gnutls_x509_crt_t chain[CHAIN_LIMIT];
	unsigned imported = 0;
	while (imported < count) {
		if (gnutls_x509_crt_init(&chain[imported]) < 0)
			break;
		imported++;
		if (gnutls_x509_crt_import(chain[imported - 1], &given[imported - 1], GNUTLS_X509_FMT_DER) <
		    0) {
			gnutls_x509_crt_deinit(chain[--imported]);
			break;
		}
	}
	int status = -EACCES;
	size_t length = size;
	if (imported == count &&
	    gnutls_x509_crt_get_dn_by_oid(chain[0], GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &length) == 0 &&
	    strlen(name) == length && chain_is_trusted(enrol, chain, count, name))
		status = 0;
	for (unsigned i = 0; i < imported; i++)
		gnutls_x509_crt_deinit(chain[i]);
	return status;
}

void enrol_credentials(struct enrol *enrol, gnutls_pcert_st **certificate, gnutls_privkey_t *key)
{
	*certificate = enrol_done(enrol) ? &enrol->issued : &enrol->own;
	*key = enrol->key;
}

static int import_pcert(const char *pem, gnutls_pcert_st *certificate, bool *there, struct error *err)
{
	gnutls_datum_t datum = datum_of(pem);
	int status = gnutls_pcert_import_x509_raw(certificate, &datum, GNUTLS_X509_FMT_PEM, 0);
	if (status < 0)
		return tls_error(err, status, "cannot read the agent's certificate");
	*there = true;
	return 0;
}

/* From here handshakes use what the controller gave. */
static int use_issued(struct enrol *enrol, const char *cert_pem, const char *ca_pem, struct error *err)
{
	int status = import_ca(ca_pem, &enrol->ca, err);
	if (status == 0)
		status = import_pcert(cert_pem, &enrol->issued, &enrol->has_issued, err);
	if (status < 0)
		return status;
	__atomic_store_n(&enrol->done, true, __ATOMIC_RELEASE);
	return 0;
}

/* A file of the state directory; -ENOENT leaves err alone. */
static int read_state(const char *path, char **text, struct error *err)
{
	int status = file_read(path, PEM_LIMIT, text, NULL);
	return status == 0 || status == -ENOENT ? status : error_sys(err, -status, "cannot read %s", path);
}

static int write_state(const char *path, const char *text, struct error *err)
{
	int status = file_write_durable(path, text, strlen(text), 0600);
	return status < 0 ? error_sys(err, -status, "cannot write %s", path) : 0;
}

static int load_key(struct enrol *enrol, struct error *err)
{
	int status = read_state(enrol->key_file, &enrol->key_pem, err);
	if (status == -ENOENT) {
		status = pki_make_key(&enrol->key_pem, err);
		if (status == 0)
			status = write_state(enrol->key_file, enrol->key_pem, err);
	}
	if (status == 0)
		status = pki_public_key(enrol->key_pem, &enrol->public_pem, err);
	if (status < 0)
		return status;
	gnutls_datum_t datum = datum_of(enrol->key_pem);
	status = gnutls_privkey_init(&enrol->key);
	if (status == 0)
		status = gnutls_privkey_import_x509_raw(enrol->key, &datum, GNUTLS_X509_FMT_PEM, NULL, 0);
	return status < 0 ? tls_error(err, status, "cannot read the agent's key") : 0;
}

static int load_certificates(struct enrol *enrol, struct error *err)
{
	autofree char *own = NULL, *issued = NULL, *ca = NULL;
	int status = pki_make_self_signed(enrol->key_pem, enrol->host, 0, &own, err);
	if (status == 0)
		status = import_pcert(own, &enrol->own, &enrol->has_own, err);
	if (status < 0)
		return status;
	/* The certificate is written last: when it is there, the CA is. */
	status = read_state(enrol->cert_file, &issued, err);
	if (status == -ENOENT)
		return 0;
	if (status == 0)
		status = read_state(enrol->ca_file, &ca, err);
	if (status == -ENOENT)
		return error_set(err, ENOENT, "%s is missing", enrol->ca_file);
	return status < 0 ? status : use_issued(enrol, issued, ca, err);
}

/* The proof is kept beside the key, so that the secret can be forgotten. */
static int load_proof(struct enrol *enrol, const char *state, const char *secret, struct error *err)
{
	autofree char *path = format_string("%s/proof", state), *kept = NULL;
	int status = read_state(path, &kept, err);
	if (status == 0) {
		snprintf(enrol->proof, sizeof(enrol->proof), "%s", kept);
		return 0;
	}
	if (status != -ENOENT)
		return status;
	if (!secret)
		return error_set(err, EINVAL, "%s has no \"secret\"", enrol->enrolment_file);
	status = pki_proof(secret, enrol->public_pem, enrol->proof, err);
	return status < 0 ? status : write_state(path, enrol->proof, err);
}

static int load_all(struct enrol *enrol, const char *state, struct error *err)
{
	autojson json_object *given = NULL;
	int status = json_read_file(enrol->enrolment_file, &given, err);
	if (status < 0)
		return status;
	const char *host = json_get_string(given, "host", NULL),
		   *pin = json_get_string(given, "ca_pin", NULL);
	int64_t port = json_get_int(given, "port", DEFAULT_PORT);
	if (!host || !*host || !pin || strlen(pin) != PKI_HASH_HEX - 1 || port < 1 || port > 65535)
		return error_set(err, EINVAL, "%s needs \"host\", \"secret\", \"ca_pin\" and \"port\"",
				 enrol->enrolment_file);
	enrol->host = format_string("%s", host);
	enrol->pin = format_string("%s", pin);
	enrol->port = (int)port;
	status = file_make_directories(state, 0700);
	if (status < 0)
		return error_sys(err, -status, "cannot make %s", state);
	enrol->key_file = format_string("%s/key.pem", state);
	enrol->cert_file = format_string("%s/cert.pem", state);
	enrol->ca_file = format_string("%s/ca.pem", state);
	status = load_key(enrol, err);
	if (status == 0)
		status = load_proof(enrol, state, json_get_string(given, "secret", NULL), err);
	if (status == 0)
		status = load_certificates(enrol, err);
	return status;
}

struct enrol *enrol_new(const char *enrolment_file, const char *state, struct error *err)
{
	struct enrol *enrol = calloc(1, sizeof(*enrol));
	if (!enrol)
		abort();
	pthread_mutex_init(&enrol->lock, NULL);
	enrol->enrolment_file = format_string("%s", enrolment_file);
	if (load_all(enrol, state, err) == 0)
		return enrol;
	enrol_free(enrol);
	return NULL;
}

void enrol_free(struct enrol *enrol)
{
	if (enrol->has_own)
		gnutls_pcert_deinit(&enrol->own);
	if (enrol->has_issued)
		gnutls_pcert_deinit(&enrol->issued);
	if (enrol->ca)
		gnutls_x509_crt_deinit(enrol->ca);
	if (enrol->key)
		gnutls_privkey_deinit(enrol->key);
	pthread_mutex_destroy(&enrol->lock);
	char *texts[] = { enrol->enrolment_file, enrol->host,    enrol->pin,     enrol->key_file,
			  enrol->cert_file,      enrol->ca_file, enrol->key_pem, enrol->public_pem };
	for (size_t i = 0; i < array_length(texts); i++)
		free(texts[i]);
	free(enrol);
}

int enrol_describe(struct enrol *enrol, json_object **answer, struct error *err)
{
	(void)err;
	*answer = json_object_new_object();
	json_set_string(*answer, "host", enrol->host);
	json_set_string(*answer, "public_key", enrol->public_pem);
	json_set_string(*answer, "proof", enrol->proof);
	return 0;
}

/* Made for this host's key, by the CA of the pin? */
static int check_given(struct enrol *enrol, const char *cert_pem, const char *ca_pem, struct error *err)
{
	char hash[PKI_HASH_HEX], name[256];
	int status = pki_cert_hash(ca_pem, hash, err);
	if (status < 0)
		return status;
	if (pki_compare(hash, enrol->pin) != 0)
		return error_set(err, EACCES, "this is not the CA that the host was made for");
	status = pki_common_name(cert_pem, name, sizeof(name), err);
	if (status < 0)
		return status;
	if (strcmp(name, enrol->host) != 0)
		return error_set(err, EACCES, "the certificate is for %s, but this host is %s", name,
				 enrol->host);

	gnutls_x509_crt_t ca = NULL, leaf = NULL;
	gnutls_pubkey_t public_key = NULL;
	gnutls_datum_t certificate = datum_of(cert_pem);
	unsigned char own[64], given[64];
	size_t own_size = sizeof(own), given_size = sizeof(given);
	status = import_ca(ca_pem, &ca, err);
	if (status == 0 &&
	    (gnutls_x509_crt_init(&leaf) < 0 ||
	     gnutls_x509_crt_import(leaf, &certificate, GNUTLS_X509_FMT_PEM) < 0 ||
	     gnutls_pubkey_init(&public_key) < 0 ||
	     gnutls_pubkey_import_privkey(public_key, enrol->key, 0, 0) < 0 ||
	     gnutls_pubkey_get_key_id(public_key, GNUTLS_KEYID_USE_SHA256, own, &own_size) < 0 ||
	     gnutls_x509_crt_get_key_id(leaf, GNUTLS_KEYID_USE_SHA256, given, &given_size) < 0 ||
	     own_size != given_size || memcmp(own, given, own_size) != 0))
		status = error_set(err, EACCES, "the certificate is not for this host's key");
	if (status == 0 && !chain_is_good(ca, &leaf, 1))
		status = error_set(err, EACCES, "the certificate is not signed by the CA, or not valid now");
	if (public_key)
		gnutls_pubkey_deinit(public_key);
	if (leaf)
		gnutls_x509_crt_deinit(leaf);
	if (ca)
		gnutls_x509_crt_deinit(ca);
	return status;
}

static void forget_secret(struct enrol *enrol)
{
	autojson json_object *given = NULL;
	struct error err;
	int status = json_read_file(enrol->enrolment_file, &given, &err);
	if (status == 0) {
		json_object_object_del(given, "secret");
		status = json_write_file(enrol->enrolment_file, given, 0600);
	}
	if (status < 0)
		log_info("the secret stays in %s: %s", enrol->enrolment_file, strerror(-status));
}

int enrol_accept(struct enrol *enrol, json_object *body, json_object **answer, struct error *err)
{
	const char *cert_pem = json_get_string(body, "certificate", NULL),
		   *ca_pem = json_get_string(body, "ca", NULL);
	if (!cert_pem || !ca_pem)
		return error_set(err, EINVAL, "\"certificate\" and \"ca\" are needed");
	*answer = json_object_new_object();
	pthread_mutex_lock(&enrol->lock);
	int status = check_given(enrol, cert_pem, ca_pem, err);
	/* Once is enough: the answer to the first time may have been lost. */
	if (status == 0 && !enrol_done(enrol)) {
		status = write_state(enrol->ca_file, ca_pem, err);
		if (status == 0)
			status = write_state(enrol->cert_file, cert_pem, err);
		if (status == 0)
			status = use_issued(enrol, cert_pem, ca_pem, err);
		if (status == 0)
			forget_secret(enrol);
	}
	pthread_mutex_unlock(&enrol->lock);
	return status;
}

int enrol_identity(struct enrol *enrol, struct http_identity *identity, struct error *err)
{
	if (!enrol_done(enrol))
		return error_set(err, EACCES, "this agent has not been enrolled");
	*identity = (struct http_identity){ .ca_file = enrol->ca_file,
					    .cert_file = enrol->cert_file,
					    .key_file = enrol->key_file };
	return 0;
}
