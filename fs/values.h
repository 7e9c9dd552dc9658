/* What the entries of the tree show, and which hosts there are. Rows of tree.c point here. */
#pragma once

#include "fs/tree.h"

typedef int values_show(struct floatfs *fs, const struct node *node, FILE *out);

values_show values_readme, values_user_error, values_target, values_status, values_info, values_info_json,
    values_exit_code, values_host_link, values_job_error, values_host_status, values_host_instance,
    values_host_zone, values_host_market, values_host_address, values_host_job, values_type,
    values_image_digest, values_image_size, values_image_status, values_nothing, values_snapshot_time,
    values_snapshot_size, values_snapshot_host;

/* A host that a job has, or that an operation made or gives back. */
struct host_view {
	uint64_t serial;
	char id[64];
	char address[64];
	char instance[32];
	char market[16];
	char zone[32];
	char job[JOB_ID_SIZE];
	const char *status;
};

/* All of them; caller frees. */
void values_list_hosts(struct floatfs *fs, struct host_view **hosts, size_t *count);
int values_find_host(struct floatfs *fs, const char *id, struct host_view *host);
int values_find_host_serial(struct floatfs *fs, uint64_t serial, struct host_view *host);

/* The job's info, in order; caller puts. */
json_object *values_describe_job(struct job *job);
