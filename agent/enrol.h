/*
 * Who this agent is and whom it believes: its key, its certificate, the installation's CA. Before enrolment a
 * self-signed certificate and the CA's hash; afterwards what floatfs gave it (API.md, Enrolment).
 *
 * Any thread may call these. One mutex guards the change from one to the other, which happens once; what
 * enrol_credentials gave out stays valid until enrol_free.
 */
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <json-c/json.h>
#include <stdbool.h>

#include "lib/error.h"
#include "lib/http.h"

struct enrol;

/* NULL with err set when this host has no usable enrolment data. state: directory for key and certificates,
 * made. */
struct enrol *enrol_new(const char *enrolment_file, const char *state, struct error *err);
void enrol_free(struct enrol *enrol);

const char *enrol_host(struct enrol *enrol);
int enrol_port(struct enrol *enrol);
bool enrol_done(struct enrol *enrol);

/* What the agent shows of itself in a handshake; borrowed. */
void enrol_credentials(struct enrol *enrol, gnutls_pcert_st **certificate, gnutls_privkey_t *key);

/*
 * Is the other end of this handshake one that may ask? 0 and its common name, or -EACCES. Before enrolment
 * only floatfs may, with a chain that holds the CA of the pin.
 */
int enrol_verify_peer(struct enrol *enrol, gnutls_session_t session, char *name, size_t size);

/* GET and POST /v1/enrol. *answer is the caller's to put. */
int enrol_describe(struct enrol *enrol, json_object **answer, struct error *err);
int enrol_accept(struct enrol *enrol, json_object *body, json_object **answer, struct error *err);

/* For asking other agents; borrowed until enrol_free. -EACCES before enrolment. */
int enrol_identity(struct enrol *enrol, struct http_identity *identity, struct error *err);
