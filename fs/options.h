/* The command line: floatfs [SOURCE] MOUNTPOINT [-f] [-d] [-V] [-h] [-o NAME=VALUE,...]. */
#pragma once

#include <stdbool.h>

#include "lib/error.h"

struct options {
	char *mountpoint;
	char *state;   /* the state directory, absolute */
	char *cloud;   /* the provider's name */
	char *machine; /* the machine image; NULL: found beside the program */
	char *agent;   /* the agent's layer over it; NULL: likewise */
	char *faults;  /* STEP:KIND, several with + between, or NULL */
	bool foreground;
	bool debug;
	bool show_help, show_version;
	bool private_mount; /* -o private: only the user who mounted sees the mount */
};

int options_parse(struct options *options, int argc, char **argv, struct error *err);
void options_free(struct options *options);
void options_print_help(void);
