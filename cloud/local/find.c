/* What an earlier floatfs left: hosts that live, and pieces of those that do not. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cloud/local/local.h"
#include "cloud/local/process.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum { BOOT_WAIT_MS = 10000, BOOT_POLL_MS = 10 };

/* A descriptor of exactly the process that had this number and this start time.
 */
static int open_process(int64_t pid, int64_t start)
{
	autoclose int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (fd < 0)
		return -errno;
	/* Read after the descriptor is there: now the number cannot come to mean another one. */
	long long ticks;
	int status = process_start_time((pid_t)pid, &ticks);
	if (status < 0 || ticks != start)
		return -ESRCH;
	return take_fd(fd);
}

int local_find_processes(struct cloud *cloud, struct local_host *host)
{
	autofree char *path = format_string("%s/hosts/%s/running.json", cloud->state, host->is.id);
	autofree char *boot_id = NULL;
	autojson json_object *record = NULL;
	if (json_read_file(path, &record, NULL) < 0 ||
	    file_read("/proc/sys/kernel/random/boot_id", 64, &boot_id, NULL) < 0)
		return -ESRCH;
	/* Numbers and start times begin anew when the machine does. */
	boot_id[strcspn(boot_id, "\n")] = '\0';
	if (strcmp(json_get_string(record, "boot_id", ""), boot_id) != 0)
		return -ESRCH;
	autoclose int init =
	    open_process(json_get_int(record, "init", -1), json_get_int(record, "init_start", -1));
	autoclose int monitor =
	    open_process(json_get_int(record, "monitor", -1), json_get_int(record, "monitor_start", -1));
	if (monitor >= 0 && host->monitor_pidfd < 0)
		host->monitor_pidfd = take_fd(monitor);
	if (init < 0)
		return -ESRCH;
	if (host->init_pidfd < 0)
		host->init_pidfd = take_fd(init);
	host->init = (pid_t)json_get_int(record, "init", -1);
	return local_host_lives(host) ? 0 : -ESRCH;
}

/*
 * A host without a process may be one that is being started this instant. Wait for the end of that; then see
 * to it that nothing starts it later: float-local-boot needs the lock file.
 */
static void settle(struct cloud *cloud, struct local_host *host)
{
	autofree char *path = format_string("%s/hosts/%s/lock", cloud->state, host->is.id);
	for (int waited = 0; local_find_processes(cloud, host) < 0; waited += BOOT_POLL_MS) {
		autoclose int lock = open(path, O_RDWR | O_CLOEXEC);
		if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) == 0 || waited >= BOOT_WAIT_MS) {
			unlink(path);
			return;
		}
		clock_sleep_ms(BOOT_POLL_MS);
	}
}

static void find_devices(struct cloud *cloud, struct local_host *host)
{
	autofree char *path = format_string("%s/hosts/%s/attached", cloud->state, host->is.id);
	autoclosedir DIR *directory = opendir(path);
	struct dirent *entry;
	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		autofree char *file = format_string("%s/%s", path, entry->d_name);
		autofree char *text = NULL;
		char tag[LOOP_TAG_SIZE];
		int number;
		if (file_read(file, 32, &text, NULL) < 0 || sscanf(text, "%d", &number) != 1)
			continue;
		if (loop_tag(number, tag) == 0 && local_tag_is_ours(cloud, tag))
			local_remember_device_locked(host, entry->d_name, number);
	}
}

static int find_host(struct cloud *cloud, const char *id, struct error *err)
{
	autofree char *directory = format_string("%s/hosts/%s", cloud->state, id);
	autofree char *path = format_string("%s/host.json", directory);
	autojson json_object *record = NULL;
	int status = json_read_file(path, &record, err);
	if (status == -ENOENT) {
		/* Its record comes first: without one, nothing else of it was made. */
		status = file_remove_tree(directory);
		return status < 0 ? error_sys(err, -status, "cannot remove %s", directory) : 0;
	}
	if (status < 0)
		return status;
	struct local_host *host = calloc(1, sizeof(*host));
	if (!host)
		return error_set(err, ENOMEM, "out of memory");
	host->init_pidfd = host->monitor_pidfd = -1;
	host->phase = HOST_READY;
	snprintf(host->is.id, sizeof(host->is.id), "%.*s", (int)sizeof(host->is.id) - 1, id);
	snprintf(host->is.token, sizeof(host->is.token), "%s", json_get_string(record, "token", ""));
	snprintf(host->is.type, sizeof(host->is.type), "%s", json_get_string(record, "type", ""));
	snprintf(host->is.zone, sizeof(host->is.zone), "%s", json_get_string(record, "zone", ""));
	snprintf(host->is.job, sizeof(host->is.job), "%s", json_get_string(record, "job", ""));
	snprintf(host->is.address, sizeof(host->is.address), "%s", json_get_string(record, "address", ""));
	host->is.market = json_get_bool(record, "spot", true) ? CLOUD_SPOT : CLOUD_ONDEMAND;
	settle(cloud, host);
	if (local_host_lives(host))
		find_devices(cloud, host);
	struct in_addr address;
	if (inet_pton(AF_INET, host->is.address, &address) == 1 &&
	    ntohl(address.s_addr) > cloud->last_address)
		cloud->last_address = ntohl(address.s_addr);
	host->next = cloud->hosts;
	cloud->hosts = host;
	return 0;
}

int local_find_hosts(struct cloud *cloud, struct error *err)
{
	autofree char *path = format_string("%s/hosts", cloud->state);
	autoclosedir DIR *directory = opendir(path);
	if (!directory)
		return error_sys(err, errno, "cannot read %s", path);
	struct dirent *entry;
	while ((entry = readdir(directory))) {
		char id[CLOUD_ID_SIZE];
		if (sscanf(entry->d_name, "%63[i0-9a-f-]", id) != 1 || strcmp(id, entry->d_name) != 0)
			continue;
		int status = find_host(cloud, id, err);
		if (status < 0)
			return status;
	}
	return 0;
}
