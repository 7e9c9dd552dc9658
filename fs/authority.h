/*
 * The installation's certificate authority, made at first start in STATE/pki, and floatfs's own certificate.
 * Read-only after authority_open: any thread.
 */
#pragma once

#include "lib/error.h"
#include "lib/http.h"

struct authority;

int authority_open(const char *state, struct authority **authority, struct error *err);
void authority_close(struct authority *authority);

/* SHA-256 of the CA's certificate in hex, for a host's enrolment. */
const char *authority_pin(const struct authority *authority);

/* For requests to agents: our certificate, trusting our CA. Members are borrowed. */
struct http_identity authority_identity(const struct authority *authority);

/* A certificate for a host's public key (PEM, caller frees), and the CA's own certificate (borrowed). */
int authority_issue(const struct authority *authority, const char *public_pem, const char *host,
		    char **cert_pem, struct error *err);
const char *authority_certificate(const struct authority *authority);
