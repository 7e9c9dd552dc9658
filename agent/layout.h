/*
 * What of a job is mounted where on the host, in its directory /run/float/jobs/ID/:
 *
 *     image/    the job image, read-only             dev/      tmpfs with the container's device nodes
 *     work/     subvolume `root` of the work volume: upper/ overlay/ (the overlay's two), tmp/ shm/ (the job's)
 *     log/      its subvolume `log`                  data-N/   subvolume `data` of a data volume
 *     process/  the volume for process images        float/    the job's own /float (the keeper's)
 *     root/     the overlay: the container's root
 *
 * and which of them the container sees where: the table of bind mounts, which criu calls external.
 * Everything here may be asked twice: what is mounted already stays, what is not mounted is not unmounted.
 * The caller holds the job's operation lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/spec.h"

#define LAYOUT_INIT   "/var/lib/float/init"
#define LAYOUT_SCRIPT "/var/lib/float/script"
#define LAYOUT_SHIM   "/usr/lib/float/job"
/* What LAYOUT_INIT is copied from, on the host. */
#define LAYOUT_INIT_SOURCE "/usr/lib/float/float-job-init"

enum { LAYOUT_BINDS_MAX = SPEC_DATA_MAX + 20 };

struct layout_bind {
	char *key;      /* criu's name of it, the same on every host */
	char *source;   /* on the host */
	char *target;   /* in the container */
	unsigned flags; /* MOUNT_ATTR_… */
	bool in_root;   /* the mount point lies in the overlay and is made there */
};

struct layout {
	char *directory;         /* /run/float/jobs/ID */
	const struct spec *spec; /* borrowed */
	bool read_only;          /* its volumes are mounted to be looked at (files.h), not to run a job on */
	size_t count;
	struct layout_bind binds[LAYOUT_BINDS_MAX];
};

struct layout *layout_new(const char *directory, const struct spec *spec);
void layout_free(struct layout *layout);

/* DIRECTORY/name; caller frees. */
char *layout_path(const struct layout *layout, const char *name);

/* Before the volumes are here: the image and /dev. */
int layout_mount_base(struct layout *layout, int timeout_ms, struct error *err);

/* Blank volumes get a file system. */
int layout_format(struct layout *layout, int timeout_ms, struct error *err);

/* Work and data volumes (and the one for process images) are attached here and nobody has them mounted. */
int layout_claim_volumes(struct layout *layout, bool with_process, int timeout_ms, struct error *err);
/* Mount them, side by side. */
int layout_mount_volumes(struct layout *layout, bool with_process, struct error *err);
/* The overlay, with the mount points of the binds in it. */
int layout_mount_root(struct layout *layout, struct error *err);

/* What a new job needs on its work volume: subvolumes, directories, init, script, log files. Mounts the volumes and
 * the root. */
int layout_furnish(struct layout *layout, const void *script, size_t length, struct error *err);

/* Adds to an exit (API.md) which of its volumes are full: "full", their places in the job. */
void layout_note_full(const struct layout *layout, json_object *exit);

int layout_sync_volumes(struct layout *layout, struct error *err);

/*
 * Unmount root, work, log, data and process volume, side by side, and see that each device can be opened
 * exclusively again.
 */
int layout_release_volumes(struct layout *layout, int timeout_ms, struct error *err);

/* The log alone, of a job that stands as an image: to read from. */
int layout_show_log(struct layout *layout, struct error *err);
int layout_hide_log(struct layout *layout, int timeout_ms, struct error *err);
bool layout_shows_log(const struct layout *layout);

/* The volume for process images (formatted when blank). -ENOENT when the spec has none. */
int layout_mount_process(struct layout *layout, int timeout_ms, struct error *err);
int layout_unmount_process(struct layout *layout, int timeout_ms, struct error *err);

/* All of the above away; what cannot be unmounted is in the error, the rest is gone. */
int layout_unmount_all(struct layout *layout, int timeout_ms, struct error *err);

/* Where a path of the container really is in it, symbolic links resolved inside the root; caller frees, NULL:
 * nowhere. */
char *layout_resolve(const struct layout *layout, const char *path);
