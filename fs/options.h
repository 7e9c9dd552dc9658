/* The command line: floatfs [SOURCE] MOUNTPOINT [-f] [-d] [-V] [-h] [-o NAME=VALUE,...]. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

struct options {
	char *mountpoint;
	char *state;          /* the state directory, absolute */
	char *cloud;          /* the provider's name */
	char *machine;        /* the machine image; NULL: found beside the program */
	char *agent;          /* the agent's layer over it; NULL: likewise */
	char *network_word;   /* on, off; NULL: on */
	bool network;         /* jobs reach what the machine reaches */
	char *keep_word;      /* or NULL */
	int64_t keep_seconds; /* ended jobs are forgotten after so long; 0: never */
	char *lost_word;      /* or NULL */
	int64_t lost_seconds; /* a host that does not answer for so long is given up */
	char *up_word;        /* or NULL */
	int64_t up_seconds;   /* a new host that is not up after so long is given back */
	/* Of each user but root; 0: no limit. */
	unsigned quota_jobs, quota_size; /* jobs; GB of volumes */
	char *faults;                    /* STEP:KIND, several with + between, or NULL */
	/* Not bool: fuse_opt writes an int. */
	int foreground;
	int debug;
	int show_help, show_version, show_faults;
	unsigned hold; /* seconds that the mount of a floatfs that died waits for the next one; 0: it ends */
	unsigned files_idle; /* seconds after which the host of an ended job's files is given back */
	int root_jobs;       /* -o root_jobs: a job may be root in its container, whoever owns it */
	int private_mount;   /* -o private: only the user who mounted sees the mount */
};

int options_parse(struct options *options, int argc, char **argv, struct error *err);
/* 30d, 12h, 90m, 45s; -EINVAL. */
int options_parse_duration(const char *text, int64_t *seconds);
void options_free(struct options *options);
void options_print_help(void);
