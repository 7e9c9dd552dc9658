/*
 * What floatfs knows of a job's snapshots. Of each there is an entry in the record, the volume that holds the process
 * image, and STATE/jobs/SERIAL/snapshot-N.json: how long each log file was at that instant.
 */
#pragma once

#include <json-c/json.h>

#include "fs/job.h"

/* How many are kept where `policy` does not say. */
enum { SNAPSHOTS_KEPT = 2 };

/* NULL when there is none of that number. */
const struct record_snapshot *snapshots_find(const struct record *record, int64_t number);
/* As people write it: its number. 0: it is none. */
int64_t snapshots_parse(const char *text);

/* As an agent knows it; caller frees. All of them, for its `keep`; caller puts. */
char *snapshots_name(int64_t number);
json_object *snapshots_names(const struct record *record);

/* A step: the volume that holds the process image of record.op.snapshot leaves the job's host; none is success. */
int snapshots_detach(struct job *job, struct error *err);

/* Keep how long the logs were; they are what an agent told (agent/API.md, `logs`). */
int snapshots_save_logs(struct job *job, int64_t number, json_object *logs, struct error *err);
/* Cut the logs back to that, 0: to nothing. What is beyond it is kept under another name; the events say so. */
void snapshots_cut_logs(struct job *job, int64_t number);

/* An agent has deleted these, an array of names, from the job's volumes: the record forgets them, the events say so. */
void snapshots_note_given_up(struct job *job, json_object *names);

/* The oldest beyond so many that are to be kept go, with their process images; what of them is on the job's volumes is
 * for its agent to delete. Returns how many went. Blocks. */
int snapshots_trim(struct job *job, int64_t kept);

/* Have the agent of the running job delete from its volumes the other snapshots, and what it had before it was taken back to one.
 * When it does not answer now that is done with the job's next snapshot, or move. Blocks. */
void snapshots_tidy(struct job *job);
