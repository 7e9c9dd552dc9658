/*
 * What is kept of a job: one struct, one JSON file (STATE/jobs/SERIAL/record.json), one table of fields that
 * writes and reads it. A record is plain data: copy it under the job's lock, write it outside.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/error.h"

enum { RECORD_VERSION = 2, RECORD_VOLUMES = 16, RECORD_SNAPSHOTS = 32, JOB_ID_SIZE = 65 };

struct record_volume {
	char id[64];     /* the provider's id: the serial in the guest; "" until it is made */
	char mount[256]; /* where in the job */
	int64_t size_gb;
};

/* What lies on the job's own volumes has its number for a name (agent/snapshots.h). */
struct record_snapshot {
	int64_t number; /* from 1, never given twice */
	int64_t taken_ns;
	int64_t bytes; /* of the process image */
	char host[64];
	char instance[32];
	char volume[64]; /* that holds the process image */
};

/* The operation under way; name "" when there is none. */
struct record_op {
	char name[16];
	char step[24]; /* of the operation's table; "": none is taken yet */
	int64_t undoing;
	char type[32]; /* of the new host */
	char market[16];
	char host[64]; /* the new host; "" until it is made */
	char address[64];
	int64_t host_serial;
	char token[65];  /* of the new host's create */
	char secret[65]; /* its enrolment */
	int64_t host_since_ns;
	int64_t began_ns;
	char process_volume[64];
	int64_t granted;   /* the epoch of the frozen section; 0: none yet */
	int64_t committed; /* the new host is the job's: `host` is the old one */
	int64_t abort;     /* a user wants it taken back */
	int64_t snapshot;  /* the number of the one to be taken, or to go back to; 0: none */
	char ended[24];    /* how it had ended that is to go on */
	int64_t bytes;     /* of the process image */
	int64_t taken_ns;
	int64_t suspended; /* neither host could take it: the process volume is kept */
	int64_t freeze_ns, dumped_ns, thaw_ns;
	int64_t closed;    /* connections to the outside that the frozen section cost the job */
	int64_t waited_ns; /* until the job could be frozen, and what for */
	char waited_for[320];
	char reason[512];  /* why it is being undone */
	int64_t host_lost; /* and that is the new host's fault: it is gone, or does not answer */
	int64_t launched;  /* the job may have run there */
};

struct record {
	int64_t version;
	int64_t serial;
	char id[JOB_ID_SIZE];
	int64_t uid, gid;
	int64_t root; /* root in its container, whoever owns it */
	char user[64];
	char status[24]; /* one of float-cli's state names; Draft before start */
	char name[128];
	char image[65];
	char digest[72];   /* sha256:… */
	char instance[32]; /* the type that it runs on */
	char market[16];   /* Spot, OnDemand */
	char zone[32];
	char host[64]; /* "" while it has none */
	char address[64];
	int64_t host_serial;
	int64_t host_since_ns;
	char container[32];
	char target[128]; /* the last accepted write to migrate, as it was written */
	char told[48];    /* the last accepted write to a control, by its name (struct caller, request) */
	char work_volume[64];
	/* The process image of a suspended job, or one that could not be given back. */
	char process_volume[64];
	struct record_volume volumes[RECORD_VOLUMES];
	int64_t volume_count;
	struct record_snapshot snapshots[RECORD_SNAPSHOTS]; /* by number */
	int64_t snapshot_count;
	int64_t last_snapshot; /* the last number that was given */
	/* A resume from a snapshot was cut off: the volumes may be as they were then, with what the job had kept aside. */
	int64_t going_back;
	int64_t epoch;
	int64_t submit_ns, start_ns, end_ns;
	int64_t exit_known, exit_code, exit_signal;
	char exit_note[256];       /* what limit it ran into, as words that follow a comma; or "" */
	int64_t cancel;            /* a cancel was accepted */
	int64_t lost;              /* its host is gone, for the reason in `reason` */
	int64_t reruns;            /* how often it was started again from its beginning, its host lost */
	int64_t failed_recoveries; /* since its host was lost */
	int64_t failed_starts;     /* on hosts that were lost before it ran */
	int64_t freeze_us;         /* of the last migration */
	int64_t migrations;
	int64_t memory_bytes;
	int64_t cost_microusd; /* of the hosts given back */
	char reason[512];      /* why it failed */
	struct record_op op;
};

/* Write it durably. */
int record_save(const char *path, const struct record *record, struct error *err);

/* A newer version: -EPROTONOSUPPORT with a sentence. */
int record_load(const char *path, struct record *record, struct error *err);

/* Copy text into a member array, cut to fit. */
#define record_set(member, text) record_set_text((member), sizeof(member), (text))
void record_set_text(char *member, size_t size, const char *text);
