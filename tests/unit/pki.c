#include "lib/pki.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"

Test(pki, certificates)
{
	struct error err = { 0 };
	autofree char *ca_key = NULL, *ca = NULL, *key = NULL, *public = NULL, *certificate = NULL;
	char name[64], hash[PKI_HASH_HEX], other[PKI_HASH_HEX];
	cr_assert_eq(pki_make_key(&ca_key, &err), 0, "%s", err.text);
	cr_assert_eq(pki_make_self_signed(ca_key, "the CA", 1, &ca, &err), 0, "%s", err.text);
	cr_assert_eq(pki_make_key(&key, &err), 0, "%s", err.text);
	cr_assert_eq(pki_public_key(key, &public, &err), 0, "%s", err.text);
	cr_assert_eq(pki_issue(ca, ca_key, public, "i-0123", &certificate, &err), 0, "%s", err.text);
	cr_assert_eq(pki_common_name(certificate, name, sizeof(name), &err), 0, "%s", err.text);
	cr_expect_str_eq(name, "i-0123");
	cr_assert_eq(pki_cert_hash(ca, hash, &err), 0);
	cr_assert_eq(pki_cert_hash(certificate, other, &err), 0);
	cr_expect_eq(strlen(hash), 64);
	cr_expect_neq(pki_compare(hash, other), 0);
	cr_expect_eq(pki_compare(hash, hash), 0);
	cr_expect_lt(pki_common_name("not a certificate", name, sizeof(name), &err), 0);
}

Test(pki, proofs)
{
	struct error err = { 0 };
	autofree char *key = NULL, *public = NULL, *pin = NULL;
	char proof[PKI_HASH_HEX], again[PKI_HASH_HEX], other[PKI_HASH_HEX];
	cr_assert_eq(pki_make_key(&key, &err), 0);
	cr_assert_eq(pki_public_key(key, &public, &err), 0);
	cr_assert_eq(pki_proof("secret", public, proof, &err), 0);
	cr_assert_eq(pki_proof("secret", public, again, &err), 0);
	cr_assert_eq(pki_proof("another", public, other, &err), 0);
	cr_expect_eq(pki_compare(proof, again), 0);
	cr_expect_neq(pki_compare(proof, other), 0);
	cr_assert_eq(pki_public_key_pin(public, &pin, &err), 0);
	cr_expect(strstr(pin, "sha256//") == pin, "%s", pin);
	cr_expect_lt(pki_proof("secret", "not a key", proof, &err), 0);
}
