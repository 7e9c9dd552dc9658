/* A request as the agent's server takes it: `METHOD PATH ID` in a line, then the body. */
#include <errno.h>
#include <gnutls/gnutls.h>

#include "agent/base64.h"
#include "agent/requests.h"
#include "agent/routes.h"
#include "agent/tail.h"
#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/utf8.h"
#include "tests/fuzz/fuzz.h"

enum { SCRIPT_LIMIT = 1000 };

static void try_script(const char *encoded)
{
	autofree unsigned char *script = NULL, *again = NULL;
	size_t length, length_again;
	if (base64_decode(encoded, SCRIPT_LIMIT, &script, &length) < 0 || length == 0)
		return;
	fuzz_check(length <= SCRIPT_LIMIT);
	gnutls_datum_t text;
	fuzz_check(gnutls_base64_encode2(&(gnutls_datum_t){ script, (unsigned)length }, &text) == 0);
	fuzz_check(base64_decode((char *)text.data, SCRIPT_LIMIT, &again, &length_again) == 0);
	fuzz_check(length_again == length && !memcmp(script, again, length));
	gnutls_free(text.data);
}

/* It gets the first answer again, and nothing else by that id. */
static void try_id(const char *id, const char *what, const char *text)
{
	/* An agent's own answers are UTF-8; json-c lets pass what is none. */
	autofree char *answer = format_string("%s", text);
	utf8_repair(answer);
	autofree char *directory = format_string("%s/requests", fuzz_scratch()), *body = NULL;
	struct error err = { 0 };
	int status;
	struct requests *requests = requests_new(directory, &err);
	fuzz_check(requests);
	int begun = requests_begin(requests, id, what, &status, &body, &err);
	fuzz_check(begun == (requests_valid_id(id) ? 0 : -EINVAL));
	if (begun == 0) {
		autofree char *path = format_string("%s/%s", directory, id);
		requests_end(requests, id, what, 200, answer);
		fuzz_check(requests_begin(requests, id, what, &status, &body, &err) == 1);
		fuzz_check(status == 200 && !strcmp(body, answer));
		fuzz_check(requests_begin(requests, id, "GET /", &status, &body, &err) == -EINVAL);
		fuzz_check(unlink(path) == 0);
	}
	requests_free(requests);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = fuzz_text(data, size);
	char *body = text, id[ROUTE_ID_SIZE];
	char *line = fuzz_line(&body);
	const char *method = strsep(&line, " "), *path = line ? strsep(&line, " ") : "";
	bool known;
	const struct route *route = routes_find(method, path, id, &known);
	fuzz_check(strlen(id) < sizeof(id) && !strchr(id, '/') && id[0] != '.');
	if (!route)
		return 0;
	fuzz_check(!strcmp(route->method, method) && (!strchr(route->path, '*') == !id[0]));
	autojson json_object *object = NULL;
	struct error err = { 0 };
	if (json_parse_object(body, size - (size_t)(body - text), &object, &err) < 0)
		return 0;
	if (line)
		try_id(line, route->path, json_object_to_json_string(object));
	if (route->stream)
		tail_free(tail_new(json_get_array(object, "have")));
	const char *script = json_get_string(object, "script", NULL);
	if (script)
		try_script(script);
	return 0;
}
