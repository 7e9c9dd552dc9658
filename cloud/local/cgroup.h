/*
 * Control groups of hosts, on whatever the machine has mounted: v1 hierarchies, v2, or v1 beside an empty v2.
 * A group is named by its path below each hierarchy: `float-ID/HOST`. Opened once; then any thread may call
 * these (nothing is changed after cgroups_open).
 */
#pragma once

#include <json-c/json.h>

#include "cloud/local/limits.h"
#include "lib/error.h"

struct cgroups;

/* Find the hierarchies; memory, cpu and pids must be there. */
int cgroups_open(struct cgroups **cgroups, struct error *err);
void cgroups_close(struct cgroups *cgroups);

/* Make the group parent/name everywhere, with its limits. */
int host_cgroup_create(const struct cgroups *cgroups, const char *parent, const char *name,
		       const struct limits *limits, struct error *err);

/*
 * Remove a group and all below it everywhere; its processes are dead already, or about to be. No such group
 * is success; with processes left: -EBUSY.
 */
int host_cgroup_remove(const struct cgroups *cgroups, const char *group);

/*
 * What the boot program must join and mount: [{"path": the group's directory, "at": where below the host's
 * /sys/fs/cgroup ("" for itself), "options": v1's mount options, "v2": bool}]. The caller's to put.
 */
json_object *host_cgroup_describe(const struct cgroups *cgroups, const char *group);

/*
 * The cgroup.procs file of a group for the processes that watch hosts, parent/boot, so that a service manager
 * that kills floatfs's own group leaves them; NULL where there is no v2 hierarchy. The caller frees it.
 */
char *host_cgroup_monitor(const struct cgroups *cgroups, const char *parent);
