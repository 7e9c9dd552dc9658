/* The command line: floatfs [SOURCE] MOUNTPOINT [-f] [-d] [-V] [-h] [-o NAME=VALUE,...]. */
#pragma once

#include <stdbool.h>

#include "lib/error.h"

struct options {
	char *mountpoint;
	char *state;        /* the state directory, absolute */
	char *cloud;        /* the provider's name */
	char *machine;      /* the machine image; NULL: found beside the program */
	char *agent;        /* the agent's layer over it; NULL: likewise */
	char *network_word; /* on, off; NULL: on */
	bool network;       /* jobs reach what the machine reaches */
	char *faults;       /* STEP:KIND, several with + between, or NULL */
	/* Not bool: fuse_opt writes an int. */
	int foreground;
	int debug;
	int show_help, show_version;
	int root_jobs;     /* -o root_jobs: a job may be root in its container, whoever owns it */
	int private_mount; /* -o private: only the user who mounted sees the mount */
};

int options_parse(struct options *options, int argc, char **argv, struct error *err);
void options_free(struct options *options);
void options_print_help(void);
