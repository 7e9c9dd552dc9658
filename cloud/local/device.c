/* Loop devices as hosts have them: nodes in their /dev, markers in their directories, and who still uses
 * which. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cloud/local/local.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"

enum { RELEASE_TIMEOUT_MS = 5000, RELEASE_POLL_MS = 2 };

static char *make_tag(const struct cloud *cloud, const char *serial)
{
	return format_string("%s/%s", cloud->group, serial);
}

bool local_tag_is_ours(const struct cloud *cloud, const char *tag)
{
	size_t length = strlen(cloud->group);
	return strncmp(tag, cloud->group, length) == 0 && tag[length] == '/';
}

static struct local_device *find_device(struct local_host *host, const char *serial)
{
	for (size_t i = 0; i < host->device_count; i++)
		if (strcmp(host->devices[i].serial, serial) == 0)
			return &host->devices[i];
	return NULL;
}

static bool is_used_locked(struct cloud *cloud, int number)
{
	for (struct local_host *host = cloud->hosts; host; host = host->next)
		for (size_t i = 0; i < host->device_count; i++)
			if (host->devices[i].loop == number)
				return true;
	return false;
}

void local_remember_device_locked(struct local_host *host, const char *serial, int loop)
{
	struct local_device *devices = realloc(host->devices, (host->device_count + 1) * sizeof(*devices));
	if (!devices)
		abort();
	host->devices = devices;
	devices[host->device_count].loop = loop;
	snprintf(devices[host->device_count].serial, sizeof(devices->serial), "%s", serial);
	host->device_count++;
}

static char *marker_path(const struct cloud *cloud, const struct local_host *host, const char *serial)
{
	return format_string("%s/hosts/%s/attached/%s", cloud->state, host->is.id, serial);
}

/* Not synced: a host does not outlive the machine. */
static int write_marker(const struct cloud *cloud, const struct local_host *host, const char *serial,
			int loop, struct error *err)
{
	autofree char *path = marker_path(cloud, host, serial);
	autofclose FILE *file = fopen(path, "we");
	if (!file || fprintf(file, "%d\n", loop) < 0 || fflush(file) != 0)
		return error_sys(err, errno, "cannot write %s", path);
	return 0;
}

/*
 * /dev/disk/by-id as the host sees it. RESOLVE_IN_ROOT: what the host may have put in the way, a symbolic
 * link to somewhere on the machine, leads nowhere but into the host.
 */
static int open_by_id(const struct local_host *host)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/%d/root", (int)host->init);
	autoclose int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	/* Alive after the open: so the number was still its own at the open. */
	if (!local_host_lives(host))
		return -ESRCH;
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, root, "dev/disk/by-id", &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static int make_node(const struct local_host *host, const char *serial, int loop, struct error *err)
{
	autofree char *name = format_string("float-%s", serial);
	autoclose int directory = open_by_id(host);
	if (directory < 0)
		return error_sys(err, -directory, "cannot reach /dev/disk/by-id of host %s", host->is.id);
	dev_t device = makedev(LOOP_MAJOR, (unsigned)loop);
	struct stat st;
	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISBLK(st.st_mode) && st.st_rdev == device)
			return 0;
		unlinkat(directory, name, 0);
	}
	if (mknodat(directory, name, S_IFBLK | 0600, device) < 0)
		return error_sys(err, errno, "cannot make %s in host %s", name, host->is.id);
	return 0;
}

static int remove_node(const struct local_host *host, const char *serial, struct error *err)
{
	autofree char *name = format_string("float-%s", serial);
	autoclose int directory = open_by_id(host);
	if (directory == -ESRCH || directory == -ENOENT)
		return 0;
	if (directory < 0)
		return error_sys(err, -directory, "cannot reach /dev/disk/by-id of host %s", host->is.id);
	if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
		return error_sys(err, errno, "cannot remove %s in host %s", name, host->is.id);
	return 0;
}

static int free_if_unused_locked(struct cloud *cloud, int number)
{
	char tag[LOOP_TAG_SIZE];
	if (is_used_locked(cloud, number) || loop_tag(number, tag) < 0 || !local_tag_is_ours(cloud, tag))
		return 0;
	int status = loop_free(number, tag);
	for (struct local_volume *volume = cloud->volumes; status == 0 && volume; volume = volume->next)
		if (volume->loop == number)
			volume->loop = -1;
	return status;
}

int local_release_loop(struct cloud *cloud, int number)
{
	/* A mount of a host that is dead already is let go by the kernel a moment later. */
	for (int waited = 0;; waited += RELEASE_POLL_MS) {
		pthread_mutex_lock(&cloud->lock);
		int status = free_if_unused_locked(cloud, number);
		pthread_mutex_unlock(&cloud->lock);
		if (status != -EBUSY || waited >= RELEASE_TIMEOUT_MS)
			return status;
		clock_sleep_ms(RELEASE_POLL_MS);
	}
}

int local_release_devices(struct cloud *cloud, struct local_host *host, struct error *err)
{
	pthread_mutex_lock(&cloud->lock);
	autofree struct local_device *devices = take_pointer(host->devices);
	size_t count = host->device_count;
	host->device_count = 0;
	pthread_mutex_unlock(&cloud->lock);
	int result = 0;
	for (size_t i = 0; i < count; i++) {
		int status = local_release_loop(cloud, devices[i].loop);
		if (status < 0)
			result = error_sys(err, -status, "%s is still in use after the end of host %s",
					   devices[i].serial, host->is.id);
	}
	return result;
}

static void found_loop(int number, const char *tag, void *context)
{
	struct cloud *cloud = context;
	const char *serial = tag + strlen(cloud->group) + 1;
	for (struct local_volume *volume = cloud->volumes; volume; volume = volume->next)
		if (strcmp(volume->is.id, serial) == 0)
			volume->loop = number;
	/* What somebody still has mounted stays, and is taken again for that volume. */
	if (free_if_unused_locked(cloud, number) < 0)
		log_info("/dev/loop%d (%s) is in use by something that is no host", number, tag);
}

int local_find_loops(struct cloud *cloud, struct error *err)
{
	autofree char *prefix = make_tag(cloud, "");
	int status = loop_each(prefix, found_loop, cloud);
	return status < 0 ? error_sys(err, -status, "cannot read /sys/block") : 0;
}

/* A loop device for an image, which all hosts share. */
static int bind_image_locked(struct cloud *cloud, const char *path, const char *serial, int *loop,
			     struct error *err)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return error_sys(err, errno, "cannot find the image %s", path);
	for (struct local_host *host = cloud->hosts; host; host = host->next) {
		for (size_t i = 0; i < host->device_count; i++) {
			if (loop_backs(host->devices[i].loop, &st)) {
				*loop = host->devices[i].loop;
				return 0;
			}
		}
	}
	autofree char *tag = make_tag(cloud, serial);
	return loop_bind(path, true, tag, loop, err);
}

static int bind_volume_locked(struct cloud *cloud, struct local_volume *volume, struct error *err)
{
	autofree char *path = format_string("%s/volumes/%s.img", cloud->state, volume->is.id);
	struct stat st;
	if (stat(path, &st) < 0)
		return error_sys(err, errno, "cannot find the volume's file %s", path);
	/* Somebody on the machine may have freed it (losetup -D). */
	if (volume->loop >= 0 && loop_backs(volume->loop, &st))
		return 0;
	volume->loop = -1;
	autofree char *tag = make_tag(cloud, volume->is.id);
	int number;
	int status = loop_bind(path, false, tag, &number, err);
	if (status < 0)
		return status;
	if (!loop_backs(number, &st))
		return error_set(err, EIO, "/dev/loop%d does not hold %s", number, path);
	volume->loop = number;
	return 0;
}

/* The device of a host that lives; its lock held. */
static int give_device_locked(struct cloud *cloud, struct local_host *host, const char *serial, int loop,
			      struct error *err)
{
	struct local_device *device = find_device(host, serial);
	int status = write_marker(cloud, host, serial, loop, err);
	if (status == 0)
		status = make_node(host, serial, loop, err);
	if (status < 0)
		return status;
	if (device)
		device->loop = loop;
	else
		local_remember_device_locked(host, serial, loop);
	return 0;
}

static struct local_host *find_living_locked(struct cloud *cloud, const char *id, struct error *err)
{
	struct local_host *host = local_find_host_locked(cloud, id);
	if (host && host->phase == HOST_READY && local_host_lives(host))
		return host;
	error_set(err, ENOENT, "there is no running host %s", id);
	return NULL;
}

int local_base_image(struct cloud *cloud, struct local_host *host, const char *path, const char *serial,
		     int *loop, struct error *err)
{
	pthread_mutex_lock(&cloud->lock);
	int status = bind_image_locked(cloud, path, serial, loop, err);
	if (status == 0) {
		local_remember_device_locked(host, serial, *loop);
		status = write_marker(cloud, host, serial, *loop, err);
	}
	pthread_mutex_unlock(&cloud->lock);
	return status;
}

static bool is_serial(const char *serial)
{
	size_t length = strlen(serial);
	for (const char *at = serial; *at; at++)
		if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_')
			return false;
	return length > 0 && length < LOOP_TAG_SIZE - sizeof("float-01234567/");
}

int local_image_attach(struct cloud *cloud, const char *path, const char *serial, const char *host_id,
		       struct error *err)
{
	if (!is_serial(serial))
		return error_set(err, EINVAL, "%s is no serial for a device", serial);
	int loop = -1, status = -ENOENT;
	pthread_mutex_lock(&cloud->lock);
	struct local_host *host = find_living_locked(cloud, host_id, err);
	if (host)
		status = bind_image_locked(cloud, path, serial, &loop, err);
	if (status == 0)
		status = give_device_locked(cloud, host, serial, loop, err);
	pthread_mutex_unlock(&cloud->lock);
	if (status < 0 && loop >= 0)
		local_release_loop(cloud, loop);
	return status;
}

int local_volume_attach(struct cloud *cloud, const char *id, const char *host_id, struct error *err)
{
	int loop = -1, status = -ENOENT;
	pthread_mutex_lock(&cloud->lock);
	struct local_host *host = find_living_locked(cloud, host_id, err);
	struct local_volume *volume = host ? local_find_volume_locked(cloud, id, err) : NULL;
	if (volume) {
		status = bind_volume_locked(cloud, volume, err);
		loop = volume->loop;
	}
	if (status == 0)
		status = give_device_locked(cloud, host, id, loop, err);
	pthread_mutex_unlock(&cloud->lock);
	if (status < 0 && loop >= 0)
		local_release_loop(cloud, loop);
	return status;
}

int local_volume_detach(struct cloud *cloud, const char *id, const char *host_id, struct error *err)
{
	int loop = -1, status = 0;
	pthread_mutex_lock(&cloud->lock);
	struct local_host *host = local_find_host_locked(cloud, host_id);
	struct local_device *device = host ? find_device(host, id) : NULL;
	if (device) {
		status = remove_node(host, id, err);
		if (status == 0) {
			loop = device->loop;
			autofree char *marker = marker_path(cloud, host, id);
			unlink(marker);
			*device = host->devices[--host->device_count];
		}
	}
	pthread_mutex_unlock(&cloud->lock);
	if (loop >= 0 && local_release_loop(cloud, loop) == -EBUSY)
		return error_set(err, EBUSY, "volume %s is still mounted in host %s; unmount it there", id,
				 host_id);
	return status;
}
