/* The local provider: its table, and the state that all of it shares. */
#include "cloud/local/local.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cloud/local/kernel.h"
#include "cloud/local/net.h"
#include "cloud/local/outlet.h"
#include "cloud/providers.h"
#include "cloud/types.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"

static void free_cloud(struct cloud *cloud)
{
	while (cloud->hosts) {
		struct local_host *host = cloud->hosts;
		cloud->hosts = host->next;
		local_host_free(host);
	}
	while (cloud->volumes) {
		struct local_volume *volume = cloud->volumes;
		cloud->volumes = volume->next;
		free(volume);
	}
	cgroups_close(cloud->cgroups);
	if (cloud->lock_fd >= 0)
		close(cloud->lock_fd);
	if (cloud->machine_network >= 0)
		close(cloud->machine_network);
	free(cloud->state);
	free(cloud->machine_image);
	free(cloud->agent_layer);
	free(cloud->boot_program);
	pthread_cond_destroy(&cloud->changed);
	pthread_mutex_destroy(&cloud->lock);
	pthread_mutex_destroy(&cloud->outlet_lock);
	free(cloud);
}

/* The provider's directory is for one process; its name in control groups and loop devices stays the same. */
static int take_state(struct cloud *cloud, struct error *err)
{
	static const char *const names[] = { "hosts", "volumes" };
	for (size_t i = 0; i < array_length(names); i++) {
		autofree char *path = format_string("%s/%s", cloud->state, names[i]);
		int status = file_make_directories(path, 0700);
		if (status < 0)
			return error_sys(err, -status, "cannot make %s", path);
	}
	autofree char *lock = format_string("%s/lock", cloud->state);
	cloud->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (cloud->lock_fd < 0)
		return error_sys(err, errno, "cannot open %s", lock);
	if (flock(cloud->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, EBUSY,
				 "another floatfs uses %s; stop it or choose another state directory",
				 cloud->state);
	autofree char *path = format_string("%s/id", cloud->state);
	autofree char *text = NULL;
	if (file_read(path, 64, &text, NULL) == 0 &&
	    strspn(text, "0123456789abcdef") == sizeof(cloud->id) - 1) {
		memcpy(cloud->id, text, sizeof(cloud->id) - 1);
	} else {
		random_text(cloud->id, sizeof(cloud->id) - 1, "0123456789abcdef");
		int status = file_write_durable(path, cloud->id, strlen(cloud->id), 0600);
		if (status < 0)
			return error_sys(err, -status, "cannot write %s", path);
	}
	snprintf(cloud->group, sizeof(cloud->group), "float-%s", cloud->id);
	return 0;
}

static int find_boot_program(struct cloud *cloud, struct error *err)
{
	char program[PATH_MAX] = "";
	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return error_sys(err, errno, "cannot read /proc/self/exe");
	const char *directory = dirname(program);
	/* As it is built, and as it is installed. */
	static const char *const places[] = { ".", "../lib/float" };
	for (size_t i = 0; i < array_length(places); i++) {
		cloud->boot_program = format_string("%s/%s/float-local-boot", directory, places[i]);
		if (access(cloud->boot_program, X_OK) == 0)
			return 0;
		free(take_pointer(cloud->boot_program));
	}
	return error_set(err, ENOENT, "float-local-boot is not beside floatfs in %s; build it with make",
			 directory);
}

/* Where running hosts are connected; else a namespace of our own. Their monitors keep it while we are away.
 */
static int enter_network(struct cloud *cloud, struct error *err)
{
	for (struct local_host *host = cloud->hosts; host; host = host->next)
		if (local_host_lives(host) && host->monitor_pidfd >= 0 &&
		    setns(host->monitor_pidfd, CLONE_NEWNET) == 0)
			return 0;
	if (unshare(CLONE_NEWNET) < 0)
		return error_sys(err, errno, "cannot make a network namespace; run floatfs as root");
	for (struct local_host *host = cloud->hosts; host; host = host->next) {
		if (!local_host_lives(host))
			continue;
		log_warning("host %s cannot be reached any more, its monitor was killed: it is given up",
			    host->is.id);
		struct error ignored;
		if (local_host_destroy(cloud, host->is.id, &ignored) < 0)
			return error_set(err, EIO, "host %s cannot be reached and not be removed",
					 host->is.id);
		return enter_network(cloud, err);
	}
	return 0;
}

/* Clean up after each host whose first process is gone. Says whether one lives. */
static bool remove_dead_hosts(struct cloud *cloud)
{
	bool any_lives = false;
	struct local_host *next;
	for (struct local_host *host = cloud->hosts; host; host = next) {
		next = host->next;
		struct error err;
		if (local_host_lives(host))
			any_lives = true;
		else if (local_host_destroy(cloud, host->is.id, &err) < 0)
			log_warning("%s", err.text);
		else
			log_info("what was left of a dead host has been removed");
	}
	return any_lives;
}

/* It is asked for with each host: it may have been killed since the last one. */
void local_start_outlet(struct cloud *cloud)
{
	if (!cloud->network)
		return;
	autofree char *path = format_string("%s/outlet", cloud->state);
	autofree char *group = host_cgroup_monitor(cloud->cgroups, cloud->group);
	struct outlet outlet = { .path = path, .machine = cloud->machine_network, .own_group = group };
	struct error err = { 0 };
	pthread_mutex_lock(&cloud->outlet_lock);
	bool failed = outlet_start(&outlet, &err) < 0;
	if (failed && !cloud->outlet_failed)
		log_warning(
		    "jobs do not reach what the machine reaches: %s; if they need not, say -o network=off",
		    err.text);
	cloud->outlet_failed = failed;
	pthread_mutex_unlock(&cloud->outlet_lock);
}

static void stop_outlet(struct cloud *cloud)
{
	autofree char *path = format_string("%s/outlet", cloud->state);
	struct error err = { 0 };
	if (outlet_stop(path, &err) < 0)
		log_warning("%s", err.text);
}

static int find_everything(struct cloud *cloud, struct error *err)
{
	int status = local_find_hosts(cloud, err);
	if (status == 0)
		status = enter_network(cloud, err);
	if (status == 0)
		status = net_bridge_create(LOCAL_GATEWAY, err);
	if (status == 0)
		status = local_find_volumes(cloud, err);
	if (status < 0)
		return status;
	if (remove_dead_hosts(cloud) && cloud->network)
		local_start_outlet(cloud);
	else
		stop_outlet(cloud);
	return local_find_loops(cloud, err);
}

static int local_open(const struct cloud_config *config, struct cloud **out, struct error *err)
{
	struct cloud *cloud = calloc(1, sizeof(*cloud));
	if (!cloud)
		return error_set(err, ENOMEM, "out of memory");
	pthread_mutex_init(&cloud->lock, NULL);
	pthread_cond_init(&cloud->changed, NULL);
	pthread_mutex_init(&cloud->outlet_lock, NULL);
	cloud->lock_fd = -1;
	cloud->network = config->network;
	kernel_raise_limits();
	cloud->machine_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	const struct {
		const char *path;
		char **absolute;
		const char *advice;
	} paths[] = {
		{ config->state, &cloud->state, "make that directory" },
		{ config->machine_image, &cloud->machine_image, "run make image" },
		{ config->agent_layer, &cloud->agent_layer, "run make image" },
	};
	int status = 0;
	if (cloud->machine_network < 0)
		status = error_sys(err, errno, "cannot open /proc/self/ns/net");
	for (size_t i = 0; status == 0 && i < array_length(paths); i++) {
		*paths[i].absolute = realpath(paths[i].path, NULL);
		if (!*paths[i].absolute)
			status =
			    error_sys(err, errno, "%s is not there (%s)", paths[i].path, paths[i].advice);
	}
	if (status == 0)
		status = take_state(cloud, err);
	if (status == 0)
		status = find_boot_program(cloud, err);
	if (status == 0)
		status = cgroups_open(&cloud->cgroups, err);
	if (status == 0)
		status = find_everything(cloud, err);
	if (status < 0) {
		free_cloud(cloud);
		return status;
	}
	*out = cloud;
	return 0;
}

static void local_close(struct cloud *cloud)
{
	if (!remove_dead_hosts(cloud)) {
		struct error err;
		for (struct local_volume *volume = cloud->volumes; volume; volume = volume->next)
			if (volume->loop >= 0 && local_release_loop(cloud, volume->loop) < 0)
				log_warning("volume %s is still in use, its loop device stays",
					    volume->is.id);
		stop_outlet(cloud);
		if (net_remove(NET_BRIDGE, &err) < 0)
			log_warning("%s", err.text);
		if (host_cgroup_remove(cloud->cgroups, cloud->group) < 0)
			log_warning("cannot remove the control group %s", cloud->group);
	}
	free_cloud(cloud);
}

static const char *local_zone(struct cloud *cloud)
{
	(void)cloud;
	return LOCAL_ZONE;
}

static const struct cloud_type *local_types(struct cloud *cloud, size_t *count)
{
	(void)cloud;
	return cloud_type_table(count);
}

const struct cloud_ops local_ops = {
	.name = "local",
	.shared_attach = true,
	.open = local_open,
	.close = local_close,
	.zone = local_zone,
	.types = local_types,
	.host_create = local_host_create,
	.host_list = local_host_list,
	.host_destroy = local_host_destroy,
	.volume_create = local_volume_create,
	.volume_list = local_volume_list,
	.volume_destroy = local_volume_destroy,
	.volume_attach = local_volume_attach,
	.volume_detach = local_volume_detach,
	.image_attach = local_image_attach,
};
