#include "lib/json.h"

#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/utf8.h"

enum { JSON_DEPTH = 32, JSON_FILE_LIMIT = 64 << 20 };

int json_parse_object(const char *text, size_t length, json_object **object, struct error *err)
{
	if (length > JSON_FILE_LIMIT)
		return error_set(err, EFBIG, "the JSON text is too long");
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
	if (!tokener)
		return error_set(err, ENOMEM, "out of memory");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	autojson json_object *parsed = json_tokener_parse_ex(tokener, text, (int)length);
	enum json_tokener_error status = json_tokener_get_error(tokener);
	size_t end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);
	if (status != json_tokener_success)
		return error_set(err, EBADMSG, "not valid JSON: %s",
				 status == json_tokener_continue ? "it ends too early"
								 : json_tokener_error_desc(status));
	/* text need not end with a NUL. */
	while (end < length &&
	       (text[end] == ' ' || text[end] == '\t' || text[end] == '\r' || text[end] == '\n'))
		end++;
	if (end != length)
		return error_set(err, EBADMSG, "not valid JSON: something follows the object");
	if (!json_object_is_type(parsed, json_type_object))
		return error_set(err, EBADMSG, "not a JSON object");
	*object = take_pointer(parsed);
	return 0;
}

int json_read_file(const char *path, json_object **object, struct error *err)
{
	autofree char *text = NULL;
	size_t length;
	int status = file_read(path, JSON_FILE_LIMIT, &text, &length);
	if (status < 0)
		return error_sys(err, -status, "cannot read %s", path);
	status = json_parse_object(text, length, object, err);
	if (status < 0 && err)
		error_prefix(err, "%s: ", path);
	return status;
}

int json_write_file(const char *path, json_object *object, mode_t mode)
{
	size_t length;
	const char *text = json_object_to_json_string_length(
	    object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
	return text ? file_write_durable(path, text, length, mode) : -ENOMEM;
}

static json_object *get_typed(json_object *object, const char *key, enum json_type type)
{
	json_object *value;
	if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, type))
		return NULL;
	return value;
}

const char *json_get_string(json_object *object, const char *key, const char *fallback)
{
	json_object *value = get_typed(object, key, json_type_string);
	return value ? json_object_get_string(value) : fallback;
}

int64_t json_get_int(json_object *object, const char *key, int64_t fallback)
{
	json_object *value = get_typed(object, key, json_type_int);
	return value ? json_object_get_int64(value) : fallback;
}

double json_get_double(json_object *object, const char *key, double fallback)
{
	json_object *value;
	if (!json_object_object_get_ex(object, key, &value))
		return fallback;
	if (!json_object_is_type(value, json_type_double) && !json_object_is_type(value, json_type_int))
		return fallback;
	return json_object_get_double(value);
}

bool json_get_bool(json_object *object, const char *key, bool fallback)
{
	json_object *value = get_typed(object, key, json_type_boolean);
	return value ? json_object_get_boolean(value) : fallback;
}

json_object *json_get_object(json_object *object, const char *key)
{
	return get_typed(object, key, json_type_object);
}

json_object *json_get_array(json_object *object, const char *key)
{
	return get_typed(object, key, json_type_array);
}

/* Sentences hold what users wrote, and may have been cut within a character: what is written must be readable. */
void json_set_string(json_object *object, const char *key, const char *value)
{
	if (!value) {
		json_object_object_del(object, key);
	} else if (utf8_valid(value)) {
		json_object_object_add(object, key, json_object_new_string(value));
	} else {
		autofree char *repaired = format_string("%s", value);
		utf8_repair(repaired);
		json_object_object_add(object, key, json_object_new_string(repaired));
	}
}

void json_set_int(json_object *object, const char *key, int64_t value)
{
	json_object_object_add(object, key, json_object_new_int64(value));
}

void json_set_bool(json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}
