/* SPEC of API.md, parsed and checked. Read-only after spec_parse: any thread may read it. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <sys/types.h>

#include "lib/error.h"

enum { SPEC_ID_MAX = 64, SPEC_DATA_MAX = 16, SPEC_WORDS_MAX = 4096 };

struct spec_data {
	const char *volume; /* serial */
	const char *mount;  /* absolute, as the job sees it */
};

/* Strings belong to json, which the spec owns. */
struct spec {
	json_object *json;
	const char *id;
	const char *hostname;
	const char *container; /* what the controller calls it, wherever it runs */
	const char *image;
	const char *work;
	const char *process; /* NULL: none yet */
	const char *log;
	const char *address; /* NULL: none */
	bool network;        /* the job has a way out */
	uid_t uid;
	gid_t gid;
	struct spec_data data[SPEC_DATA_MAX];
	size_t data_count;
	json_object *env;  /* array of "K=V", or NULL */
	json_object *args; /* array of strings, or NULL */
	json_object *tree; /* array, or NULL */
};

/* NULL with the sentence in err. object is borrowed (a reference is taken). */
struct spec *spec_parse(json_object *object, struct error *err);
void spec_free(struct spec *spec);

/* [A-Za-z0-9][A-Za-z0-9._-]{0,63}: good as a name of a directory. */
bool spec_id_valid(const char *id);
/* Absolute, no empty, "." or ".." part, no end slash, no control characters. */
bool spec_path_valid(const char *path);
