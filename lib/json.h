/*
 * Reading JSON that others wrote, without trusting it: a missing or wrong member gives the default.
 * Writing is json-c's own calls. Strings returned are borrowed until the object is put.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

/* Parse exactly one JSON object (not an array or a scalar); *object is the caller's to put. */
int json_parse_object(const char *text, size_t length, json_object **object, struct error *err);

/* The same of a file, at most 64 MiB. -ENOENT where there is none. */
int json_read_file(const char *path, json_object **object, struct error *err);

/* Write it with file_write_durable. */
int json_write_file(const char *path, json_object *object, mode_t mode);

const char *json_get_string(json_object *object, const char *key, const char *fallback);
int64_t json_get_int(json_object *object, const char *key, int64_t fallback);
double json_get_double(json_object *object, const char *key, double fallback);
bool json_get_bool(json_object *object, const char *key, bool fallback);
/* NULL when missing or of another type; borrowed. */
json_object *json_get_object(json_object *object, const char *key);
json_object *json_get_array(json_object *object, const char *key);

/* NULL removes the key; bytes that are no UTF-8 become `?`. */
void json_set_string(json_object *object, const char *key, const char *value);
void json_set_int(json_object *object, const char *key, int64_t value);
void json_set_bool(json_object *object, const char *key, bool value);
