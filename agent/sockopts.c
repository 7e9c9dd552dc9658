#include "agent/sockopts.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/held.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"

enum { VALUE_MAX = 16, NAME_SIZE = 32, LINK_SIZE = 64 };

/* 0: of any. IPv4's are IPv6 sockets' as well. */
static const struct option {
	int family, protocol, level, name;
} table[] = {
	/* criu carries this one, but would carry what it was set to for the freeze. */
	{ 0, IPPROTO_TCP, SOL_SOCKET, SO_KEEPALIVE },
	{ 0, 0, SOL_SOCKET, SO_TIMESTAMP },
	{ 0, 0, SOL_SOCKET, SO_TIMESTAMPNS },
	{ 0, 0, SOL_SOCKET, SO_TIMESTAMPING },
	{ 0, 0, SOL_SOCKET, SO_RXQ_OVFL },
	{ 0, 0, SOL_SOCKET, SO_PEEK_OFF },
	{ 0, 0, SOL_SOCKET, SO_ZEROCOPY },
	{ 0, 0, SOL_SOCKET, SO_BUSY_POLL },
	/* Of IPv4 sockets these two are carried. */
	{ AF_INET, 0, IPPROTO_IP, IP_TTL },
	{ AF_INET, 0, IPPROTO_IP, IP_TOS },
	{ AF_INET, 0, IPPROTO_IP, IP_RECVERR },
	{ AF_INET, 0, IPPROTO_IP, IP_RECVTTL },
	{ AF_INET, 0, IPPROTO_IP, IP_RECVTOS },
	{ AF_INET, 0, IPPROTO_IP, IP_RECVORIGDSTADDR },
	{ AF_INET, 0, IPPROTO_IP, IP_MTU_DISCOVER },
	{ AF_INET, IPPROTO_UDP, IPPROTO_IP, IP_MULTICAST_TTL },
	{ AF_INET, 0, IPPROTO_IP, IP_MULTICAST_LOOP },
	{ AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVERR },
	{ AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVHOPLIMIT },
	{ AF_INET6, 0, IPPROTO_IPV6, IPV6_RECVTCLASS },
	{ AF_INET6, 0, IPPROTO_IPV6, IPV6_TCLASS },
	{ AF_INET6, 0, IPPROTO_IPV6, IPV6_UNICAST_HOPS },
	{ AF_INET6, 0, IPPROTO_IPV6, IPV6_MTU_DISCOVER },
	{ AF_INET6, IPPROTO_UDP, IPPROTO_IPV6, IPV6_MULTICAST_HOPS },
	{ AF_INET6, 0, IPPROTO_IPV6, IPV6_MULTICAST_LOOP },
	{ 0, IPPROTO_TCP, IPPROTO_TCP, TCP_CONGESTION },
	{ 0, IPPROTO_TCP, IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ 0, IPPROTO_TCP, IPPROTO_TCP, TCP_DEFER_ACCEPT },
	{ 0, IPPROTO_TCP, IPPROTO_TCP, TCP_SYNCNT },
	{ 0, IPPROTO_TCP, IPPROTO_TCP, TCP_LINGER2 },
	{ 0, IPPROTO_TCP, IPPROTO_TCP, TCP_NOTSENT_LOWAT },
	{ 0, IPPROTO_TCP, IPPROTO_TCP, TCP_FASTOPEN },
};

static void set(int fd, int level, int name, const void *value, socklen_t length)
{
	if (setsockopt(fd, level, name, value, length) < 0)
		log_warning("option %d:%d of a socket of the job is not as it was: %s", level, name,
			    strerror(errno));
}

/* ---- before the freeze ---- */

/* One that was changed, and how it was. */
struct stilled {
	struct stilled *following;
	char link[LINK_SIZE];
	int level, name, value;
	bool done; /* it is as it was again */
};

struct sockopts {
	json_object *found;
	json_object *seen; /* sockets by their link: several descriptors may be one */
	struct stilled *stilled;
};

static int get_int(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

static bool is_about(const struct option *option, int family, int protocol)
{
	bool right = option->family == family || option->family == 0 ||
		     (option->family == AF_INET && family == AF_INET6);
	return right && (option->protocol == 0 || option->protocol == protocol);
}

/* Does it end a connection in which nothing comes back for a while? One that listens ends nothing, and those that it accepts
 * would have what it was set to. */
static bool gives_up(const struct option *option, int fd)
{
	bool counts = (option->level == SOL_SOCKET && option->name == SO_KEEPALIVE) ||
		      (option->level == IPPROTO_TCP && option->name == TCP_USER_TIMEOUT);
	return counts && get_int(fd, SO_ACCEPTCONN) == 0;
}

static void still(struct sockopts *sockopts, const struct held *held, int fd, const struct option *option,
		  const void *value, const void *usual)
{
	struct stilled *stilled = calloc(1, sizeof(*stilled));
	if (!stilled)
		abort();
	*stilled =
	    (struct stilled){ .following = sockopts->stilled, .level = option->level, .name = option->name };
	snprintf(stilled->link, sizeof(stilled->link), "%s", held->link);
	memcpy(&stilled->value, value, sizeof(stilled->value));
	sockopts->stilled = stilled;
	if (setsockopt(fd, option->level, option->name, usual, sizeof(stilled->value)) < 0)
		log_warning("option %d:%d of a socket of the job: %s", option->level, option->name,
			    strerror(errno));
}

/* An array of what differs from the new socket, or NULL. */
static json_object *read_options(struct sockopts *sockopts, const struct held *held, int fd, int fresh,
				 int family, int protocol)
{
	json_object *list = NULL;
	for (size_t i = 0; i < array_length(table); i++) {
		unsigned char value[VALUE_MAX] = { 0 }, usual[VALUE_MAX] = { 0 };
		socklen_t length = sizeof(value), as_usual = sizeof(usual);
		if (!is_about(&table[i], family, protocol) ||
		    getsockopt(fd, table[i].level, table[i].name, value, &length) < 0 ||
		    getsockopt(fresh, table[i].level, table[i].name, usual, &as_usual) < 0 ||
		    (length == as_usual && memcmp(value, usual, length) == 0))
			continue;
		char hex[2 * VALUE_MAX + 1] = "";
		for (socklen_t at = 0; at < length; at++)
			snprintf(hex + 2 * at, 3, "%02x", value[at]);
		json_object *entry = json_object_new_array();
		json_object_array_add(entry, json_object_new_int(table[i].level));
		json_object_array_add(entry, json_object_new_int(table[i].name));
		json_object_array_add(entry, json_object_new_string(hex));
		list = list ? list : json_object_new_array();
		json_object_array_add(list, entry);
		if (gives_up(&table[i], fd))
			still(sockopts, held, fd, &table[i], value, usual);
	}
	return list;
}

static void note_options(struct sockopts *sockopts, const struct held *held, json_object *list)
{
	char pid[NAME_SIZE], fd[NAME_SIZE];
	json_object *process;
	snprintf(pid, sizeof(pid), "%d", (int)held_own_pid(held->pid));
	snprintf(fd, sizeof(fd), "%d", held->fd);
	if (!json_object_object_get_ex(sockopts->found, pid, &process)) {
		process = json_object_new_object();
		json_object_object_add(sockopts->found, pid, process);
	}
	json_object_object_add(process, fd, list);
}

static void read_socket(const struct held *held, void *context)
{
	struct sockopts *sockopts = context;
	if (strncmp(held->link, "socket:[", strlen("socket:[")) != 0 ||
	    json_object_object_get_ex(sockopts->seen, held->link, NULL))
		return;
	json_object_object_add(sockopts->seen, held->link, NULL);
	autoclose int fd = held_take(held->pid, held->fd);
	int family = fd < 0 ? -1 : get_int(fd, SO_DOMAIN);
	if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
		return;
	int type = get_int(fd, SO_TYPE), protocol = get_int(fd, SO_PROTOCOL);
	autoclose int fresh = socket(family, type | SOCK_CLOEXEC, protocol);
	json_object *list = fresh < 0 ? NULL : read_options(sockopts, held, fd, fresh, family, protocol);
	if (list)
		note_options(sockopts, held, list);
}

struct sockopts *sockopts_read(void)
{
	struct sockopts *sockopts = calloc(1, sizeof(*sockopts));
	if (!sockopts)
		abort();
	sockopts->found = json_object_new_object();
	sockopts->seen = json_object_new_object();
	held_each_of_job(read_socket, sockopts);
	return sockopts;
}

json_object *sockopts_json(struct sockopts *sockopts)
{
	return sockopts->found;
}

void sockopts_free(struct sockopts *sockopts)
{
	if (!sockopts)
		return;
	for (struct stilled *at = sockopts->stilled, *following; at; at = following) {
		following = at->following;
		free(at);
	}
	json_object_put(sockopts->found);
	json_object_put(sockopts->seen);
	free(sockopts);
}

/* ---- after a dump that failed ---- */

static void put_back(const struct held *held, void *context)
{
	struct sockopts *sockopts = context;
	for (struct stilled *at = sockopts->stilled; at; at = at->following) {
		if (at->done || strcmp(at->link, held->link) != 0)
			continue;
		autoclose int fd = held_take(held->pid, held->fd);
		if (fd < 0)
			continue;
		at->done = true;
		set(fd, at->level, at->name, &at->value, sizeof(at->value));
	}
}

void sockopts_put_back(struct sockopts *sockopts)
{
	if (sockopts->stilled)
		held_each_of_job(put_back, sockopts);
}

/* ---- before the thaw ---- */

static void set_option(int fd, json_object *entry)
{
	unsigned char value[VALUE_MAX];
	int level = json_object_get_int(json_object_array_get_idx(entry, 0)),
	    name = json_object_get_int(json_object_array_get_idx(entry, 1));
	const char *hex = json_object_get_string(json_object_array_get_idx(entry, 2));
	socklen_t length = 0;
	for (unsigned byte; hex && length < VALUE_MAX && sscanf(hex + 2 * length, "%2x", &byte) == 1;)
		value[length++] = (unsigned char)byte;
	set(fd, level, name, value, length);
}

static void set_options(pid_t pid, void *context)
{
	char own[NAME_SIZE];
	json_object *options = context, *process;
	snprintf(own, sizeof(own), "%d", (int)held_own_pid(pid));
	if (!json_object_object_get_ex(options, own, &process))
		return;
	json_object_object_foreach(process, key, list)
	{
		autoclose int fd = held_take(pid, (int)strtol(key, NULL, 10));
		for (size_t i = 0; fd >= 0 && i < json_object_array_length(list); i++)
			set_option(fd, json_object_array_get_idx(list, i));
		if (fd < 0)
			log_warning("options of a socket of the job are not as they were: %s", strerror(-fd));
	}
}

void sockopts_set(json_object *options)
{
	if (options && json_object_object_length(options) > 0)
		cgroup_each_process(set_options, options);
}
