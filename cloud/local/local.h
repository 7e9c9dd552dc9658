/*
 * The local provider's state. Everything in it is guarded by `lock`; what takes long (booting, waiting for
 * processes to die) is done without it, with the host's phase saying so: only the thread that set HOST_MAKING
 * or HOST_LEAVING touches such a host's other fields. `changed` is broadcast when a phase changes.
 *
 * On disk, below the state directory:
 *   id                     8 hex digits: names this installation in control groups and loop devices
 *   outlet                 what slirp4netns prints, locked by it (outlet.h)
 *   lock                   held by the one floatfs that uses the directory
 *   hosts/HOST/host.json   who it is: written durably before anything is made
 *     boot.json            for float-local-boot; running.json: processes, written by it; lock: held while it
 * lives attached/SERIAL      the loop device's number: written before the host gets its node upper/ work/ its
 * root's upper layer; console: what float-init and the agent print volumes/VOL.img        the volume;
 * VOL.json: who it is, written after it
 */
#pragma once

#include <pthread.h>

#include "cloud/cloud.h"
#include "cloud/local/cgroup.h"
#include "cloud/local/loop.h"

#define LOCAL_GATEWAY "10.213.0.1"
#define LOCAL_ZONE    "local-a"

enum { LOCAL_AGENT_PORT = 7433 };

struct local_device {
	char serial[CLOUD_ID_SIZE];
	int loop;
};

enum host_phase { HOST_MAKING, HOST_READY, HOST_LEAVING };

struct local_host {
	struct local_host *next;
	struct cloud_host is;
	enum host_phase phase;
	pid_t init;
	int init_pidfd; /* -1 while there is no process, or none known */
	int monitor_pidfd;
	struct local_device *devices; /* also "machine" and "agent", which have no node in the host */
	size_t device_count;
};

struct local_volume {
	struct local_volume *next;
	struct cloud_volume is;
	int loop; /* -1: not bound */
};

struct cloud {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char *state, *machine_image, *agent_layer, *boot_program;
	char id[9];
	char group[24]; /* float-ID: the control group above the hosts' */
	int lock_fd;
	bool network;                /* hosts get a way out */
	int machine_network;         /* the namespace that floatfs came from */
	pthread_mutex_t outlet_lock; /* held while the outlet is started; taken without `lock` */
	bool outlet_failed;          /* it was said */
	uint32_t last_address;       /* the newest host's, host byte order: freed ones are taken again last */
	struct cgroups *cgroups;
	struct local_host *hosts;
	struct local_volume *volumes;
};

/* host.c. The _locked ones want the lock held. */
int local_host_create(struct cloud *cloud, const struct cloud_host_spec *spec, struct cloud_host *host,
		      struct error *err);
int local_host_list(struct cloud *cloud, struct cloud_host **hosts, size_t *count, struct error *err);
int local_host_destroy(struct cloud *cloud, const char *id, struct error *err);
struct local_host *local_find_host_locked(struct cloud *cloud, const char *id);
bool local_host_lives(const struct local_host *host);
void local_host_free(struct local_host *host);

/* local.c: hosts get a way out, if they can. */
void local_start_outlet(struct cloud *cloud);

/* find.c: what an earlier process left. Before any other thread; hosts that live are in cloud->hosts
 * afterwards. */
int local_find_hosts(struct cloud *cloud, struct error *err);
/* Read running.json: fills init and the two descriptors of host if its processes live. Else -ESRCH. */
int local_find_processes(struct cloud *cloud, struct local_host *host);

/* volume.c */
int local_volume_create(struct cloud *cloud, const struct cloud_volume_spec *spec,
			struct cloud_volume *volume, struct error *err);
int local_volume_list(struct cloud *cloud, struct cloud_volume **volumes, size_t *count, struct error *err);
int local_volume_destroy(struct cloud *cloud, const char *id, struct error *err);
/* NULL with the sentence when there is none. */
struct local_volume *local_find_volume_locked(struct cloud *cloud, const char *id, struct error *err);
int local_find_volumes(struct cloud *cloud, struct error *err);

/* device.c: what is attached to a host. */
int local_volume_attach(struct cloud *cloud, const char *volume, const char *host, struct error *err);
int local_volume_detach(struct cloud *cloud, const char *volume, const char *host, struct error *err);
int local_image_attach(struct cloud *cloud, const char *path, const char *serial, const char *host,
		       struct error *err);
/* Bind an image for a host that is being made, without a node in it. Takes the lock. */
int local_base_image(struct cloud *cloud, struct local_host *host, const char *path, const char *serial,
		     int *loop, struct error *err);
void local_remember_device_locked(struct local_host *host, const char *serial, int loop);
/* A host's devices are no longer its; frees those that nobody uses, waiting until they are let go. Takes the
 * lock. */
int local_release_devices(struct cloud *cloud, struct local_host *host, struct error *err);
/* Free a loop device unless a host uses it, waiting until it is let go. Takes the lock. */
int local_release_loop(struct cloud *cloud, int number);
bool local_tag_is_ours(const struct cloud *cloud, const char *tag);
/* Find the loop devices of this installation: volumes' are remembered, unused ones are freed. */
int local_find_loops(struct cloud *cloud, struct error *err);

/* Both random: "i-" or "vol-" and 17 hex digits. */
void local_make_id(const char *prefix, char id[CLOUD_ID_SIZE]);
