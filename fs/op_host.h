/*
 * What start and migrate have in common: a new host, brought up and enrolled, with the job's devices
 * attached. The new host is record.op.host; its token and secret stand in the record before it is asked for.
 */
#pragma once

#include "fs/op.h"

/* The work volume: what the job writes outside its data volumes, and its logs. */
enum { OP_WORK_GIB = 16 };

/* The parameters of a new host in an operation's record. */
void op_host_plan(struct record_op *op, const char *type, enum cloud_market market);

/* The event that says where a job that has run is to go: "Ready to VERB with instance type: …". */
int op_host_announce(struct job *job, const char *verb, struct error *err);

/* Steps: it is asked for, and waited for; a host that does not come up is given back, and another one is asked for. The
 * events say "Created new host". */
int op_host_create(struct job *job, struct error *err);
int op_host_create_to_recover(struct job *job, struct error *err); /* for a job that has run */
int op_host_await(struct job *job, struct error *err);
void op_host_undo(struct job *job); /* destroys record.op.host */

/* Attach the job's volumes to record.op.host. */
int op_host_attach_volumes(struct job *job, struct error *err);

/* The same with the job's image, and the process volume, when there is one. */
int op_host_attach(struct job *job, struct error *err);

/* Detach them again (but for the image, which goes with it). */
void op_host_detach(struct job *job);

/*
 * The job left record.op.host: give it back, in order if its agent answers. The events say so. Without one there is
 * nothing to do.
 */
int op_host_give_back(struct job *job, struct error *err);

/* The job has no use for its own host any more: destroy it, with the cost kept and the events written. */
int op_host_reclaim(struct job *job, struct error *err);

/* Destroy a host, with the time and the cost kept; not there is success. */
int op_host_destroy(struct job *job, const char *host, struct error *err);

/* Whether the cloud still has it; true where that cannot be told. */
bool op_host_exists(struct floatfs *fs, const char *host);
