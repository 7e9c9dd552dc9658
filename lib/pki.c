#include "lib/pki.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/cleanup.h"

enum { CERT_YEARS = 20, HASH_BYTES = 32 };

static void deinit_privkey(gnutls_x509_privkey_t *key)
{
	if (*key)
		gnutls_x509_privkey_deinit(*key);
}

static void deinit_crt(gnutls_x509_crt_t *crt)
{
	if (*crt)
		gnutls_x509_crt_deinit(*crt);
}

static void deinit_pubkey(gnutls_pubkey_t *key)
{
	if (*key)
		gnutls_pubkey_deinit(*key);
}

static void free_datum(gnutls_datum_t *datum)
{
	gnutls_free(datum->data);
}

#define autoprivkey __attribute__((cleanup(deinit_privkey)))
#define autocrt     __attribute__((cleanup(deinit_crt)))
#define autopubkey  __attribute__((cleanup(deinit_pubkey)))
#define autodatum   __attribute__((cleanup(free_datum)))

static int tls_error(struct error *err, int status, const char *doing)
{
	return error_set(err, EPROTO, "cannot %s: %s", doing, gnutls_strerror(status));
}

static gnutls_datum_t datum_of(const char *pem)
{
	return (gnutls_datum_t){ .data = (unsigned char *)pem, .size = (unsigned)strlen(pem) };
}

static void hex_of(const unsigned char *bytes, char hex[PKI_HASH_HEX])
{
	for (int i = 0; i < HASH_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

/* A string of the caller's from a datum of GnuTLS's. */
static int take_text(const gnutls_datum_t *datum, char **text)
{
	*text = strndup((const char *)datum->data, datum->size);
	return *text ? 0 : -ENOMEM;
}

static int import_key(const char *pem, gnutls_x509_privkey_t *key, struct error *err)
{
	gnutls_datum_t data = datum_of(pem);
	int status = gnutls_x509_privkey_init(key);
	if (status == 0)
		status = gnutls_x509_privkey_import(*key, &data, GNUTLS_X509_FMT_PEM);
	return status < 0 ? tls_error(err, status, "read a private key") : 0;
}

static int import_crt(const char *pem, gnutls_x509_crt_t *crt, struct error *err)
{
	gnutls_datum_t data = datum_of(pem);
	int status = gnutls_x509_crt_init(crt);
	if (status == 0)
		status = gnutls_x509_crt_import(*crt, &data, GNUTLS_X509_FMT_PEM);
	return status < 0 ? tls_error(err, status, "read a certificate") : 0;
}

static int import_pubkey(const char *pem, gnutls_pubkey_t *key, struct error *err)
{
	gnutls_datum_t data = datum_of(pem);
	int status = gnutls_pubkey_init(key);
	if (status == 0)
		status = gnutls_pubkey_import(*key, &data, GNUTLS_X509_FMT_PEM);
	return status < 0 ? tls_error(err, status, "read a public key") : 0;
}

int pki_make_key(char **key_pem, struct error *err)
{
	autoprivkey gnutls_x509_privkey_t key = NULL;
	autodatum gnutls_datum_t pem = { 0 };
	int status = gnutls_x509_privkey_init(&key);
	if (status == 0)
		status = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
						      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (status == 0)
		status = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem);
	if (status < 0)
		return tls_error(err, status, "make a private key");
	return take_text(&pem, key_pem);
}

/* What every certificate here has: a random serial, a common name, a long life. */
static int describe_crt(gnutls_x509_crt_t crt, const char *common_name, int is_ca)
{
	unsigned char serial[16];
	unsigned char key_id[20];
	size_t id_size = sizeof(key_id);
	time_t now = time(NULL);
	int status = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
	serial[0] &= 0x7f; /* RFC 5280, 4.1.2.2: a positive number */
	if (status == 0)
		status = gnutls_x509_crt_set_version(crt, 3);
	if (status == 0)
		status = gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	if (status == 0)
		status = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, common_name,
						       (unsigned)strlen(common_name));
	/* A day back: the clocks of two machines differ. */
	if (status == 0)
		status = gnutls_x509_crt_set_activation_time(crt, now - 86400);
	if (status == 0)
		status = gnutls_x509_crt_set_expiration_time(crt, now + (time_t)CERT_YEARS * 365 * 86400);
	if (status == 0)
		status = gnutls_x509_crt_set_basic_constraints(crt, (unsigned)is_ca, is_ca ? 0 : -1);
	if (status == 0)
		status =
		    gnutls_x509_crt_set_key_usage(crt, is_ca ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN
							     : GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (status == 0)
		status = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA1, key_id, &id_size);
	if (status == 0)
		status = gnutls_x509_crt_set_subject_key_id(crt, key_id, id_size);
	if (status == 0 && !is_ca)
		status = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, common_name,
							      (unsigned)strlen(common_name), GNUTLS_FSAN_SET);
	if (status == 0 && !is_ca)
		status = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
	if (status == 0 && !is_ca)
		status = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_CLIENT, 0);
	return status;
}

static int export_crt(gnutls_x509_crt_t crt, char **pem, struct error *err)
{
	autodatum gnutls_datum_t data = { 0 };
	int status = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &data);
	return status < 0 ? tls_error(err, status, "write a certificate") : take_text(&data, pem);
}

int pki_make_self_signed(const char *key_pem, const char *common_name, int is_ca, char **cert_pem,
			 struct error *err)
{
	autoprivkey gnutls_x509_privkey_t key = NULL;
	autocrt gnutls_x509_crt_t crt = NULL;
	int status = import_key(key_pem, &key, err);
	if (status < 0)
		return status;
	status = gnutls_x509_crt_init(&crt);
	if (status == 0)
		status = gnutls_x509_crt_set_key(crt, key);
	if (status == 0)
		status = describe_crt(crt, common_name, is_ca);
	if (status == 0)
		status = gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
	if (status < 0)
		return tls_error(err, status, "make a certificate");
	return export_crt(crt, cert_pem, err);
}

int pki_public_key(const char *key_pem, char **public_pem, struct error *err)
{
	gnutls_privkey_t abstract = NULL;
	autopubkey gnutls_pubkey_t public = NULL;
	autodatum gnutls_datum_t pem = { 0 };
	gnutls_datum_t data = datum_of(key_pem);
	int status = gnutls_privkey_init(&abstract);
	if (status == 0)
		status = gnutls_privkey_import_x509_raw(abstract, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (status == 0)
		status = gnutls_pubkey_init(&public);
	if (status == 0)
		status = gnutls_pubkey_import_privkey(public, abstract, 0, 0);
	if (status == 0)
		status = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_PEM, &pem);
	if (abstract)
		gnutls_privkey_deinit(abstract);
	return status < 0 ? tls_error(err, status, "read a private key") : take_text(&pem, public_pem);
}

int pki_issue(const char *ca_cert_pem, const char *ca_key_pem, const char *public_pem,
	      const char *common_name, char **cert_pem, struct error *err)
{
	autoprivkey gnutls_x509_privkey_t ca_key = NULL;
	autocrt gnutls_x509_crt_t ca = NULL, crt = NULL;
	autopubkey gnutls_pubkey_t public = NULL;
	int status = import_key(ca_key_pem, &ca_key, err);
	if (status == 0)
		status = import_crt(ca_cert_pem, &ca, err);
	if (status == 0)
		status = import_pubkey(public_pem, &public, err);
	if (status < 0)
		return status;
	status = gnutls_x509_crt_init(&crt);
	if (status == 0)
		status = gnutls_x509_crt_set_pubkey(crt, public);
	if (status == 0)
		status = describe_crt(crt, common_name, 0);
	if (status == 0)
		status = gnutls_x509_crt_sign2(crt, ca, ca_key, GNUTLS_DIG_SHA256, 0);
	if (status < 0)
		return tls_error(err, status, "issue a certificate");
	return export_crt(crt, cert_pem, err);
}

int pki_cert_hash(const char *cert_pem, char hex[PKI_HASH_HEX], struct error *err)
{
	autocrt gnutls_x509_crt_t crt = NULL;
	unsigned char hash[HASH_BYTES];
	size_t size = sizeof(hash);
	int status = import_crt(cert_pem, &crt, err);
	if (status < 0)
		return status;
	status = gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, hash, &size);
	if (status < 0)
		return tls_error(err, status, "hash a certificate");
	hex_of(hash, hex);
	return 0;
}

static int hash_public_key(const char *public_pem, unsigned char hash[HASH_BYTES], struct error *err)
{
	autopubkey gnutls_pubkey_t public = NULL;
	autodatum gnutls_datum_t der = { 0 };
	int status = import_pubkey(public_pem, &public, err);
	if (status < 0)
		return status;
	status = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, &der);
	if (status == 0)
		status = gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, hash);
	return status < 0 ? tls_error(err, status, "hash a public key") : 0;
}

int pki_public_key_pin(const char *public_pem, char **pin, struct error *err)
{
	unsigned char hash[HASH_BYTES];
	autodatum gnutls_datum_t base64 = { 0 };
	int status = hash_public_key(public_pem, hash, err);
	if (status < 0)
		return status;
	status = gnutls_base64_encode2(&(gnutls_datum_t){ .data = hash, .size = sizeof(hash) }, &base64);
	if (status < 0)
		return tls_error(err, status, "encode a hash");
	if (asprintf(pin, "sha256//%.*s", (int)base64.size, base64.data) < 0)
		return error_set(err, ENOMEM, "out of memory");
	return 0;
}

int pki_proof(const char *secret, const char *public_pem, char hex[PKI_HASH_HEX], struct error *err)
{
	unsigned char hash[HASH_BYTES], proof[HASH_BYTES];
	int status = hash_public_key(public_pem, hash, err);
	if (status < 0)
		return status;
	status = gnutls_hmac_fast(GNUTLS_MAC_SHA256, secret, strlen(secret), hash, sizeof(hash), proof);
	if (status < 0)
		return tls_error(err, status, "make a proof");
	hex_of(proof, hex);
	return 0;
}

int pki_compare(const char *one, const char *other)
{
	size_t length = strlen(one);
	if (length != strlen(other))
		return 1;
	return gnutls_memcmp(one, other, length);
}

int pki_common_name(const char *cert_pem, char *name, size_t size, struct error *err)
{
	autocrt gnutls_x509_crt_t crt = NULL;
	int status = import_crt(cert_pem, &crt, err);
	if (status < 0)
		return status;
	status = gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size);
	return status < 0 ? tls_error(err, status, "read the name of a certificate") : 0;
}
