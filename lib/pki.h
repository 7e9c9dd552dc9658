/*
 * Keys and certificates (GnuTLS): the certificate authority that floatfs makes at first start, the
 * certificates it gives to itself and to hosts, and the proof by which a new host enrols.
 * All PEM strings returned are the caller's to free. Any thread may call these.
 */
#pragma once

#include <stddef.h>

#include "lib/error.h"

/* floatfs's own certificate has this common name; a host's has its id. */
#define PKI_CONTROLLER "floatfs"

enum { PKI_HASH_HEX = 65 }; /* SHA-256 in hex and a NUL */

/* A fresh EC (P-256) private key. */
int pki_make_key(char **key_pem, struct error *err);

/* A self-signed certificate of a key: a CA (is_ca) or an agent's until it has enrolled. */
int pki_make_self_signed(const char *key_pem, const char *common_name, int is_ca, char **cert_pem,
			 struct error *err);

/* The public half of a key, PEM (SubjectPublicKeyInfo). */
int pki_public_key(const char *key_pem, char **public_pem, struct error *err);

/* A certificate for somebody's public key, signed by the CA. Good for both ends of TLS, with DNS name
 * common_name. */
int pki_issue(const char *ca_cert_pem, const char *ca_key_pem, const char *public_pem,
	      const char *common_name, char **cert_pem, struct error *err);

/* SHA-256 over the DER of a certificate: the CA pin. */
int pki_cert_hash(const char *cert_pem, char hex[PKI_HASH_HEX], struct error *err);

/* "sha256//BASE64" of a public key, as CURLOPT_PINNEDPUBLICKEY wants it; caller frees. */
int pki_public_key_pin(const char *public_pem, char **pin, struct error *err);

/* HMAC-SHA-256(secret, SHA-256 of the public key's DER) in hex. */
int pki_proof(const char *secret, const char *public_pem, char hex[PKI_HASH_HEX], struct error *err);

/* Compare two hex strings in constant time; 0 when equal. */
int pki_compare(const char *one, const char *other);

/* The common name of the first certificate of a PEM. */
int pki_common_name(const char *cert_pem, char *name, size_t size, struct error *err);
