#include "fs/authority.h"

#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/pki.h"

struct authority {
	char *directory;
	char *ca_cert, *ca_key;               /* PEM */
	char *ca_file, *cert_file, *key_file; /* paths, for libcurl */
	char pin[PKI_HASH_HEX];
};

enum { PEM_LIMIT = 64 << 10 };

static int write_pem(const char *path, const char *pem, mode_t mode, struct error *err)
{
	int status = file_write_durable(path, pem, strlen(pem), mode);
	return status < 0 ? error_sys(err, -status, "cannot write %s", path) : 0;
}

/* The key is durable before the certificate, so that a certificate always has its key. */
static int make_ca(struct authority *authority, const char *key_path, struct error *err)
{
	int status = pki_make_key(&authority->ca_key, err);
	if (status == 0)
		status = write_pem(key_path, authority->ca_key, 0600, err);
	if (status == 0)
		status = pki_make_self_signed(authority->ca_key, "floatfs CA", 1, &authority->ca_cert, err);
	if (status == 0)
		status = write_pem(authority->ca_file, authority->ca_cert, 0644, err);
	return status;
}

static int load_ca(struct authority *authority, const char *key_path, struct error *err)
{
	int status = file_read(authority->ca_file, PEM_LIMIT, &authority->ca_cert, NULL);
	if (status == -ENOENT)
		return make_ca(authority, key_path, err);
	if (status == 0)
		status = file_read(key_path, PEM_LIMIT, &authority->ca_key, NULL);
	return status < 0 ? error_sys(err, -status, "the certificate authority in %s cannot be read",
				      authority->directory)
			  : 0;
}

/*
 * A certificate of our own at each start: it costs nothing and never expires. The CA's follows it in the
 * file: a host that enrols knows the CA by its pin only, and must be shown it.
 */
static int make_own_certificate(struct authority *authority, struct error *err)
{
	autofree char *key = NULL, *public = NULL, *cert = NULL;
	int status = pki_make_key(&key, err);
	if (status == 0)
		status = pki_public_key(key, &public, err);
	if (status == 0)
		status = pki_issue(authority->ca_cert, authority->ca_key, public, PKI_CONTROLLER, &cert, err);
	if (status < 0)
		return status;
	autofree char *chain = format_string("%s%s", cert, authority->ca_cert);
	status = write_pem(authority->key_file, key, 0600, err);
	return status < 0 ? status : write_pem(authority->cert_file, chain, 0644, err);
}

int authority_open(const char *state, struct authority **out, struct error *err)
{
	struct authority *authority = calloc(1, sizeof(*authority));
	if (!authority)
		return error_set(err, ENOMEM, "out of memory");
	authority->directory = format_string("%s/pki", state);
	authority->ca_file = format_string("%s/ca.pem", authority->directory);
	authority->cert_file = format_string("%s/floatfs.pem", authority->directory);
	authority->key_file = format_string("%s/floatfs.key", authority->directory);
	autofree char *ca_key_path = format_string("%s/ca.key", authority->directory);
	int status = file_make_directories(authority->directory, 0700);
	if (status < 0)
		status = error_sys(err, -status, "cannot make %s", authority->directory);
	if (status == 0)
		status = load_ca(authority, ca_key_path, err);
	if (status == 0)
		status = pki_cert_hash(authority->ca_cert, authority->pin, err);
	if (status == 0)
		status = make_own_certificate(authority, err);
	if (status < 0) {
		authority_close(authority);
		return status;
	}
	*out = authority;
	return 0;
}

void authority_close(struct authority *authority)
{
	if (!authority)
		return;
	free(authority->directory);
	free(authority->ca_cert);
	free(authority->ca_key);
	free(authority->ca_file);
	free(authority->cert_file);
	free(authority->key_file);
	free(authority);
}

const char *authority_pin(const struct authority *authority)
{
	return authority->pin;
}

const char *authority_certificate(const struct authority *authority)
{
	return authority->ca_cert;
}

struct http_identity authority_identity(const struct authority *authority)
{
	return (struct http_identity){ .ca_file = authority->ca_file,
				       .cert_file = authority->cert_file,
				       .key_file = authority->key_file };
}

int authority_issue(const struct authority *authority, const char *public_pem, const char *host,
		    char **cert_pem, struct error *err)
{
	return pki_issue(authority->ca_cert, authority->ca_key, public_pem, host, cert_pem, err);
}
