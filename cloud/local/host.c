#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "cloud/local/local.h"
#include "cloud/local/net.h"
#include "cloud/local/outlet.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/proc.h"

enum { KILL_TIMEOUT_MS = 30000, BOOT_TIMEOUT_MS = 30000 };

static char *host_path(const struct cloud *cloud, const struct local_host *host, const char *name)
{
	return format_string("%s/hosts/%s/%s", cloud->state, host->is.id, name);
}

void local_make_id(const char *prefix, char id[CLOUD_ID_SIZE])
{
	int length = snprintf(id, CLOUD_ID_SIZE, "%s-", prefix);
	random_text(id + length, 17, "0123456789abcdef");
}

bool local_host_lives(const struct local_host *host)
{
	/* A pidfd is readable as soon as the process has ended. */
	struct pollfd poll_fd = { .fd = host->init_pidfd, .events = POLLIN };
	return host->init_pidfd >= 0 && poll(&poll_fd, 1, 0) == 0;
}

struct local_host *local_find_host_locked(struct cloud *cloud, const char *id)
{
	for (struct local_host *host = cloud->hosts; host; host = host->next)
		if (strcmp(host->is.id, id) == 0)
			return host;
	return NULL;
}

static bool address_taken(struct cloud *cloud, uint32_t address)
{
	for (struct local_host *host = cloud->hosts; host; host = host->next) {
		struct in_addr other;
		if (inet_pton(AF_INET, host->is.address, &other) == 1 && ntohl(other.s_addr) == address)
			return true;
	}
	return false;
}

/* The next one of the bridge's network, round and round. */
static int choose_address_locked(struct cloud *cloud, char text[64], struct error *err)
{
	struct in_addr gateway;
	inet_pton(AF_INET, LOCAL_GATEWAY, &gateway);
	uint32_t first = ntohl(gateway.s_addr) + 1, last = (first | 0xffff) - 1,
		 address = cloud->last_address;
	for (uint32_t tried = first; tried <= last; tried++) {
		address = address < first || address >= last ? first : address + 1;
		if (address_taken(cloud, address))
			continue;
		cloud->last_address = address;
		inet_ntop(AF_INET, &(struct in_addr){ htonl(address) }, text, 64);
		return 0;
	}
	return error_set(err, ENOSPC, "there is no free address for another host");
}

/* Record the host: from here on a process that comes later can clean it up. */
static int write_record(struct cloud *cloud, const struct local_host *host, struct error *err)
{
	autojson json_object *record = json_object_new_object();
	json_set_string(record, "id", host->is.id);
	json_set_string(record, "token", host->is.token);
	json_set_string(record, "type", host->is.type);
	json_set_string(record, "zone", host->is.zone);
	json_set_string(record, "job", host->is.job);
	json_set_string(record, "address", host->is.address);
	json_set_bool(record, "spot", host->is.market == CLOUD_SPOT);

	autofree char *directory = host_path(cloud, host, "attached");
	autofree char *lock = host_path(cloud, host, "lock");
	autofree char *path = host_path(cloud, host, "host.json");
	int status = file_make_directories(directory, 0700);
	if (status == 0)
		status = json_write_file(path, record, 0600);
	if (status == 0)
		status = file_write_durable(lock, "", 0, 0600);
	return status < 0 ? error_sys(err, -status, "cannot write %s", path) : 0;
}

/*
 * The root's upper layer, with what a cloud gives a machine to know about itself; float-init makes
 * /etc/float/enrolment.json of it.
 */
static int write_root(struct cloud *cloud, const struct local_host *host, json_object *enrolment,
		      struct error *err)
{
	static const struct {
		const char *name;
		mode_t mode;
	} directories[] = { { "upper", 0755 }, { "upper/etc", 0755 }, { "upper/etc/float", 0700 },
			    { "work", 0700 },  { "root", 0700 },      { "machine", 0700 },
			    { "agent", 0700 } };
	for (size_t i = 0; i < array_length(directories); i++) {
		autofree char *path = host_path(cloud, host, directories[i].name);
		/* The mode is the root directory's as the host sees it, whatever umask floatfs has. */
		if ((mkdir(path, 0700) < 0 && errno != EEXIST) || chmod(path, directories[i].mode) < 0)
			return error_sys(err, errno, "cannot make %s", path);
	}
	autojson json_object *meta = json_object_new_object();
	json_set_string(meta, "host", host->is.id);
	json_set_string(meta, "address", host->is.address);
	json_set_int(meta, "port", LOCAL_AGENT_PORT);
	const struct {
		const char *name;
		json_object *content;
	} files[] = { { "upper/etc/float/meta-data", meta }, { "upper/etc/float/user-data", enrolment } };
	for (size_t i = 0; i < array_length(files); i++) {
		autofree char *path = host_path(cloud, host, files[i].name);
		if (files[i].content &&
		    json_object_to_file_ext(path, files[i].content, JSON_C_TO_STRING_PLAIN) < 0)
			return error_set(err, EIO, "cannot write %s", path);
	}
	autofree char *path = host_path(cloud, host, "upper/etc/resolv.conf");
	autofree char *resolver = cloud->network ? outlet_resolver() : NULL;
	autoclose int fd = resolver ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
	if (resolver &&
	    (fd < 0 || file_write_all(fd, resolver, strlen(resolver)) < 0 || fchmod(fd, 0644) < 0))
		return error_sys(err, errno, "cannot write %s", path);
	return 0;
}

static int write_boot(struct cloud *cloud, const struct local_host *host, int machine, int agent,
		      struct error *err)
{
	autofree char *group = format_string("%s/%s", cloud->group, host->is.id);
	autofree char *machine_device = format_string("/dev/loop%d", machine);
	autofree char *agent_device = format_string("/dev/loop%d", agent);
	autofree char *interface = format_string("h%.12s", host->is.id + 2);
	autojson json_object *boot = json_object_new_object();
	json_set_string(boot, "machine", machine_device);
	json_set_string(boot, "agent", agent_device);
	json_set_string(boot, "interface", interface);
	json_set_string(boot, "address", host->is.address);
	json_set_string(boot, "gateway", cloud->network ? LOCAL_GATEWAY : NULL);
	json_object_object_add(boot, "cgroups", host_cgroup_describe(cloud->cgroups, group));
	autofree char *monitor = host_cgroup_monitor(cloud->cgroups, cloud->group);
	json_set_string(boot, "monitor_cgroup", monitor);
	autofree char *path = host_path(cloud, host, "boot.json");
	if (json_object_to_file_ext(path, boot, JSON_C_TO_STRING_PLAIN) < 0)
		return error_set(err, EIO, "cannot write %s", path);
	return 0;
}

static struct limits limits_of(const struct cloud_type *type)
{
	struct sysinfo info;
	sysinfo(&info);
	return limits_of_host(type, (int64_t)info.totalram * info.mem_unit, get_nprocs());
}

static int make_host(struct cloud *cloud, struct local_host *host, const struct cloud_host_spec *spec,
		     struct error *err)
{
	int machine, agent;
	int status = local_base_image(cloud, host, cloud->machine_image, "machine", &machine, err);
	if (status == 0)
		status = local_base_image(cloud, host, cloud->agent_layer, "agent", &agent, err);
	if (status == 0)
		status = write_root(cloud, host, spec->enrolment, err);
	struct limits limits = limits_of(spec->type);
	if (status == 0)
		status = host_cgroup_create(cloud->cgroups, cloud->group, host->is.id, &limits, err);
	if (status == 0)
		status = write_boot(cloud, host, machine, agent, err);
	if (status < 0)
		return status;
	local_start_outlet(cloud);
	autofree char *directory = host_path(cloud, host, "");
	directory[strlen(directory) - 1] = '\0';
	const char *const argv[] = { cloud->boot_program, directory, NULL };
	status = proc_run(argv, &(struct proc_options){ .timeout_ms = BOOT_TIMEOUT_MS }, err);
	if (status < 0)
		return status;
	status = local_find_processes(cloud, host);
	return status < 0 ? error_set(err, EIO, "host %s ended while it was started", host->is.id) : 0;
}

static int wait_for_end(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };
	int status;
	do
		status = poll(&poll_fd, 1, KILL_TIMEOUT_MS);
	while (status < 0 && errno == EINTR);
	return status == 1 ? 0 : -ETIMEDOUT;
}

/* Undo all of make_host, however far it came. The host is LEAVING or MAKING, so it is this thread's. */
static int unmake_host(struct cloud *cloud, struct local_host *host, struct error *err)
{
	if (host->init_pidfd < 0)
		local_find_processes(cloud, host);
	/* The end of a pid namespace's first process is the end of all in it: it is last to be gone. */
	if (host->init_pidfd >= 0) {
		if (syscall(SYS_pidfd_send_signal, host->init_pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
			return error_sys(err, errno, "cannot kill host %s", host->is.id);
		if (wait_for_end(host->init_pidfd) < 0)
			return error_set(err, ETIMEDOUT,
					 "host %s does not end; a process of it hangs in the kernel",
					 host->is.id);
	}
	if (host->monitor_pidfd >= 0 && wait_for_end(host->monitor_pidfd) < 0)
		return error_set(err, ETIMEDOUT, "the monitor of host %s does not end", host->is.id);

	autofree char *interface = format_string("h%.12s", host->is.id + 2);
	int status = net_remove(interface, err);
	int devices_status = local_release_devices(cloud, host, status < 0 ? NULL : err);
	if (status == 0)
		status = devices_status;
	autofree char *group = format_string("%s/%s", cloud->group, host->is.id);
	int group_status = host_cgroup_remove(cloud->cgroups, group);
	if (group_status < 0 && status == 0)
		status = error_sys(err, -group_status, "cannot remove the control group %s", group);
	if (status < 0)
		return status;
	autofree char *directory = host_path(cloud, host, "");
	status = file_remove_tree(directory);
	return status < 0 ? error_sys(err, -status, "cannot remove %s", directory) : 0;
}

static void forget_host(struct cloud *cloud, struct local_host *host)
{
	pthread_mutex_lock(&cloud->lock);
	for (struct local_host **at = &cloud->hosts; *at; at = &(*at)->next) {
		if (*at == host) {
			*at = host->next;
			break;
		}
	}
	pthread_cond_broadcast(&cloud->changed);
	pthread_mutex_unlock(&cloud->lock);
	local_host_free(host);
}

void local_host_free(struct local_host *host)
{
	if (host->init_pidfd >= 0)
		close(host->init_pidfd);
	if (host->monitor_pidfd >= 0)
		close(host->monitor_pidfd);
	free(host->devices);
	free(host);
}

static struct local_host *find_token_locked(struct cloud *cloud, const char *token)
{
	for (struct local_host *host = cloud->hosts; host; host = host->next)
		if (strcmp(host->is.token, token) == 0)
			return host;
	return NULL;
}

/* What is said of a host outside: its state follows from its phase and its process. */
static struct cloud_host describe(const struct local_host *host)
{
	struct cloud_host is = host->is;
	is.state = host->phase == HOST_MAKING                            ? CLOUD_HOST_PENDING
		   : host->phase == HOST_READY && local_host_lives(host) ? CLOUD_HOST_RUNNING
									 : CLOUD_HOST_GONE;
	return is;
}

/* In the list from the start: nobody else takes its token or its address. */
static int new_host_locked(struct cloud *cloud, const struct cloud_host_spec *spec, struct local_host **out,
			   struct error *err)
{
	autofree struct local_host *host = calloc(1, sizeof(*host));
	if (!host)
		return error_set(err, ENOMEM, "out of memory");
	int status = choose_address_locked(cloud, host->is.address, err);
	if (status < 0)
		return status;
	host->phase = HOST_MAKING;
	host->init_pidfd = host->monitor_pidfd = -1;
	host->is.market = spec->market;
	local_make_id("i", host->is.id);
	snprintf(host->is.token, sizeof(host->is.token), "%s", spec->token);
	snprintf(host->is.type, sizeof(host->is.type), "%s", spec->type->name);
	snprintf(host->is.zone, sizeof(host->is.zone), "%s", LOCAL_ZONE);
	snprintf(host->is.job, sizeof(host->is.job), "%s", spec->job ? spec->job : "");
	host->next = cloud->hosts;
	*out = cloud->hosts = take_pointer(host);
	return 0;
}

int local_host_create(struct cloud *cloud, const struct cloud_host_spec *spec, struct cloud_host *out,
		      struct error *err)
{
	if (!spec->type || !spec->token[0] || strlen(spec->token) >= CLOUD_TOKEN_SIZE)
		return error_set(err, EINVAL, "a host needs an instance type and a token");
	if (spec->zone && strcmp(spec->zone, LOCAL_ZONE) != 0)
		return error_set(err, EINVAL, "there is no zone %s; the zone here is " LOCAL_ZONE,
				 spec->zone);

	pthread_mutex_lock(&cloud->lock);
	struct local_host *host;
	while ((host = find_token_locked(cloud, spec->token)) && host->phase != HOST_READY)
		pthread_cond_wait(&cloud->changed, &cloud->lock);
	if (host) {
		*out = describe(host);
		pthread_mutex_unlock(&cloud->lock);
		return 0;
	}
	int status = new_host_locked(cloud, spec, &host, err);
	pthread_mutex_unlock(&cloud->lock);
	if (status < 0)
		return status;
	status = write_record(cloud, host, err);
	if (status == 0)
		status = make_host(cloud, host, spec, err);
	if (status < 0) {
		struct error undo = { 0 };
		if (unmake_host(cloud, host, &undo) < 0)
			log_warning("%s", undo.text);
		forget_host(cloud, host);
		return status;
	}
	pthread_mutex_lock(&cloud->lock);
	host->phase = HOST_READY;
	*out = describe(host);
	pthread_cond_broadcast(&cloud->changed);
	pthread_mutex_unlock(&cloud->lock);
	return 0;
}

int local_host_list(struct cloud *cloud, struct cloud_host **hosts, size_t *count, struct error *err)
{
	pthread_mutex_lock(&cloud->lock);
	size_t total = 0, used = 0;
	for (struct local_host *host = cloud->hosts; host; host = host->next)
		total++;
	struct cloud_host *list = calloc(total + 1, sizeof(*list));
	for (struct local_host *host = cloud->hosts; list && host; host = host->next) {
		list[used] = describe(host);
		if (list[used].state != CLOUD_HOST_GONE)
			used++;
	}
	pthread_mutex_unlock(&cloud->lock);
	if (!list)
		return error_set(err, ENOMEM, "out of memory");
	*hosts = list;
	*count = used;
	return 0;
}

int local_host_destroy(struct cloud *cloud, const char *id, struct error *err)
{
	pthread_mutex_lock(&cloud->lock);
	struct local_host *host;
	while ((host = local_find_host_locked(cloud, id)) && host->phase != HOST_READY)
		pthread_cond_wait(&cloud->changed, &cloud->lock);
	if (host)
		host->phase = HOST_LEAVING;
	pthread_mutex_unlock(&cloud->lock);
	if (!host)
		return 0;
	int status = unmake_host(cloud, host, err);
	if (status == 0) {
		forget_host(cloud, host);
		return 0;
	}
	/* Dead or not, it can be tried again. */
	pthread_mutex_lock(&cloud->lock);
	host->phase = HOST_READY;
	pthread_cond_broadcast(&cloud->changed);
	pthread_mutex_unlock(&cloud->lock);
	return status;
}
