/*
 * What floatfs asks of a cloud: instance types, hosts, volumes. One table of operations a provider.
 *
 * Every create carries a client token that the caller recorded first: asked again with the same token, a
 * provider answers with what it made the first time and never makes a second one. Destroying what is not
 * there is success. All calls block and may be made from any thread at once; a provider does its own locking.
 * Returns are 0 or -errno with the sentence in err.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum { CLOUD_ID_SIZE = 64, CLOUD_TOKEN_SIZE = 65 };

/* An instance type. Borrowed from the provider until cloud_close. */
struct cloud_type {
	const char *name;      /* c5.2xlarge */
	int cpus;              /* vCPUs */
	int memory_mib;        /* as the type is sold */
	double price_ondemand; /* USD an hour */
	double price_spot;     /* USD an hour */
};

enum cloud_market { CLOUD_SPOT, CLOUD_ONDEMAND };

struct cloud_host_spec {
	char token[CLOUD_TOKEN_SIZE];
	const struct cloud_type *type;
	enum cloud_market market;
	const char *zone;       /* NULL: the provider's choice */
	const char *job;        /* tag: the job it is for */
	json_object *enrolment; /* what the guest helper writes to /etc/float/enrolment.json; borrowed */
};

enum cloud_host_state { CLOUD_HOST_PENDING, CLOUD_HOST_RUNNING, CLOUD_HOST_GONE };

struct cloud_host {
	char id[CLOUD_ID_SIZE]; /* i-0123456789abcdef0 */
	char address[64];       /* numeric; "" while it has none */
	char token[CLOUD_TOKEN_SIZE];
	char type[32];
	char zone[32];
	char job[72];
	enum cloud_market market;
	enum cloud_host_state state;
};

struct cloud_volume_spec {
	char token[CLOUD_TOKEN_SIZE];
	uint64_t size_bytes; /* at least this much of a blank device */
	const char *zone;
	const char *job;  /* tag */
	const char *role; /* tag: work, data-N, process */
};

struct cloud_volume {
	char id[CLOUD_ID_SIZE]; /* vol-0123456789abcdef0: also the serial by which a guest finds it */
	char token[CLOUD_TOKEN_SIZE];
	char job[72];
	char role[32];
	uint64_t size_bytes;
};

struct cloud_config {
	const char *state; /* directory of the provider's own below floatfs's state directory; it exists */
	const char *machine_image; /* read-only file-system image of the packages (make image) */
	const char *agent_layer;   /* the same for float-agent: laid over the machine image */
	bool network;              /* hosts have a way to what the machine reaches, for their jobs */
};

struct cloud;

struct cloud_ops {
	const char *name; /* as in -o cloud=NAME */
	/*
	 * A volume may be attached to two hosts at once (mounted by one only): then it is attached to the new
	 * host before the freeze. Otherwise it is detached and attached inside it.
	 */
	bool shared_attach;

	/*
	 * Called before any other thread is started: a provider may move the whole process into a network
	 * namespace of its own here. Finds again what an earlier process left running.
	 */
	int (*open)(const struct cloud_config *config, struct cloud **cloud, struct error *err);
	/* Leaves hosts and volumes as they are; when there is no host it leaves nothing behind on the
	 * machine. */
	void (*close)(struct cloud *cloud);

	const char *(*zone)(struct cloud *cloud); /* the default zone */
	const struct cloud_type *(*types)(struct cloud *cloud, size_t *count);

	int (*host_create)(struct cloud *cloud, const struct cloud_host_spec *spec, struct cloud_host *host,
			   struct error *err);
	/* Every host of this installation that is not gone; *hosts is the caller's to free. */
	int (*host_list)(struct cloud *cloud, struct cloud_host **hosts, size_t *count, struct error *err);
	/* Returns when it is gone and holds no volume. */
	int (*host_destroy)(struct cloud *cloud, const char *host, struct error *err);

	int (*volume_create)(struct cloud *cloud, const struct cloud_volume_spec *spec,
			     struct cloud_volume *volume, struct error *err);
	int (*volume_list)(struct cloud *cloud, struct cloud_volume **volumes, size_t *count,
			   struct error *err);
	int (*volume_destroy)(struct cloud *cloud, const char *volume, struct error *err);
	/* When it returns the guest sees, or is about to see, /dev/disk/by-id/float-VOLUME. Twice is success.
	 */
	int (*volume_attach)(struct cloud *cloud, const char *volume, const char *host, struct error *err);
	int (*volume_detach)(struct cloud *cloud, const char *volume, const char *host, struct error *err);

	/*
	 * Give a host a job image (a read-only file-system image in a file of floatfs's): serial is chosen by
	 * the caller (img- and the first 16 hex digits of the digest), and the guest sees
	 * /dev/disk/by-id/float-SERIAL, read-only. It goes with the host.
	 */
	int (*image_attach)(struct cloud *cloud, const char *path, const char *serial, const char *host,
			    struct error *err);
};

/* NULL for a name that there is not. */
const struct cloud_ops *cloud_find(const char *name);

/* The table's names, for a message: "local". */
const char *cloud_names(void);

const struct cloud_type *cloud_find_type(const struct cloud_ops *ops, struct cloud *cloud, const char *name);
/* The cheapest type (by spot price) with at least so much; NULL when none has. */
const struct cloud_type *cloud_cheapest_type(const struct cloud_ops *ops, struct cloud *cloud, int cpus,
					     int memory_mib);
const char *cloud_market_name(enum cloud_market market); /* "Spot", "OnDemand" */
