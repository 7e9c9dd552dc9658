#include "agent/uncarried.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/held.h"
#include "agent/outside.h"
#include "agent/sockdiag.h"
#include "lib/cleanup.h"
#include "lib/file.h"

enum { TEXT_LIMIT = 1 << 20 };

/* A connection that waits in a listener's queue. */
struct waiting {
	uint32_t listener, client; /* inodes; no client: it has closed its end */
	bool counts;               /* it is not carried */
};

struct look {
	const struct spec *spec;
	struct waiting *waiting;
	size_t count;
	const char *loose; /* what there is of connections without a descriptor; NULL: nothing */
	/* The first thing found; what stays goes before what passes. */
	bool found, passes;
	char what[256];
};

/* ---- connections ---- */

static int add_waiting(struct look *look, uint32_t listener, uint32_t client, bool counts)
{
	if (look->count % 64 == 0) {
		void *more = realloc(look->waiting, (look->count + 64) * sizeof(*look->waiting));
		if (!more)
			return -ENOMEM;
		look->waiting = more;
	}
	look->waiting[look->count++] = (struct waiting){ listener, client, counts };
	return 0;
}

static int note_tcp(const void *body, size_t length, void *context)
{
	const struct inet_diag_msg *found = body;
	struct look *look = context;
	if (length < sizeof(*found))
		return 0;
	/* Of a listener this is the number of those that wait. */
	if (found->idiag_state == TCP_LISTEN)
		return found->idiag_rqueue > 0 ? add_waiting(look, found->idiag_inode, 0, true) : 0;
	if (outside_has(look->spec, found->idiag_family, found->id.idiag_dst))
		return 0;
	if (found->idiag_state == TCP_SYN_RECV)
		look->loose = "a connection within the job is half open";
	else if (found->idiag_inode == 0 && found->idiag_wqueue > 0)
		look->loose =
		    "a connection within the job, closed by one end, has not delivered all that was sent";
	return 0;
}

static int note_unix_listener(const void *body, size_t length, void *context)
{
	const struct unix_diag_msg *found = body;
	struct look *look = context;
	if (length < sizeof(*found))
		return 0;
	size_t left = length - sizeof(*found);
	for (struct rtattr *part = (struct rtattr *)(found + 1); RTA_OK(part, left);
	     part = RTA_NEXT(part, left)) {
		const uint32_t *clients = RTA_DATA(part);
		if (part->rta_type != UNIX_DIAG_ICONS)
			continue;
		for (size_t i = 0; i < RTA_PAYLOAD(part) / sizeof(*clients); i++) {
			int status = add_waiting(look, found->udiag_ino, clients[i], clients[i] == 0);
			if (status < 0)
				return status;
		}
	}
	return 0;
}

/* criu connects a waiting client anew, but does not get at what it has written. */
static int note_unix_client(const void *body, size_t length, void *context)
{
	const struct unix_diag_msg *found = body;
	struct look *look = context;
	if (length < sizeof(*found))
		return 0;
	size_t left = length - sizeof(*found);
	for (struct rtattr *part = (struct rtattr *)(found + 1); RTA_OK(part, left);
	     part = RTA_NEXT(part, left)) {
		const struct unix_diag_rqlen *queues = RTA_DATA(part);
		if (part->rta_type != UNIX_DIAG_RQLEN || queues->udiag_wqueue == 0)
			continue;
		for (size_t i = 0; i < look->count; i++)
			if (look->waiting[i].client == found->udiag_ino)
				look->waiting[i].counts = true;
	}
	return 0;
}

static int ask_tcp(int fd, int family, struct look *look)
{
	struct inet_diag_req_v2 request = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1U << TCP_LISTEN | 1U << TCP_SYN_RECV | 1U << TCP_FIN_WAIT1 |
				1U << TCP_LAST_ACK | 1U << TCP_CLOSING,
	};
	int status =
	    sockdiag_ask(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, sizeof(request), note_tcp, look);
	return status == -ENOENT ? 0 : status; /* a kernel without that family */
}

static int ask_unix(int fd, unsigned state, unsigned show, sockdiag_each *each, struct look *look)
{
	struct unix_diag_req request = {
		.sdiag_family = AF_UNIX,
		.udiag_states = 1U << state,
		.udiag_show = show,
	};
	return sockdiag_ask(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, sizeof(request), each, look);
}

static int look_at_connections(struct look *look, struct error *err)
{
	autoclose int fd = sockdiag_open();
	int status = fd < 0 ? fd : ask_tcp(fd, AF_INET, look);
	if (status == 0)
		status = ask_tcp(fd, AF_INET6, look);
	size_t tcp = look->count;
	if (status == 0)
		status = ask_unix(fd, TCP_LISTEN, UDIAG_SHOW_ICONS, note_unix_listener, look);
	if (status == 0 && look->count > tcp)
		status = ask_unix(fd, TCP_ESTABLISHED, UDIAG_SHOW_RQLEN, note_unix_client, look);
	return status < 0 ? error_sys(err, -status, "cannot list the job's connections") : 0;
}

/* ---- descriptors ---- */

static uint64_t fdinfo(const struct held *held, const char *key, int base)
{
	autofree char *path = format_string("/proc/%d/fdinfo/%d", (int)held->pid, held->fd), *text = NULL;
	/* It may be closed, or its process gone. */
	const char *found = file_read(path, TEXT_LIMIT, &text, NULL) < 0 ? NULL : strstr(text, key);
	return found ? strtoull(found + strlen(key), NULL, base) : 0;
}

/* Told since Linux 6.4. */
static bool is_semaphore(const struct look *look, const struct held *held)
{
	(void)look;
	return fdinfo(held, "eventfd-semaphore:", 10) != 0;
}

/* criu makes it anew by eventfd(2), which takes a number of 32 bits. */
static bool has_counted_far(const struct look *look, const struct held *held)
{
	(void)look;
	return fdinfo(held, "eventfd-count:", 16) > UINT32_MAX;
}

static bool has_events(const struct look *look, const struct held *held)
{
	(void)look;
	int bytes = 0;
	autoclose int fd = held_take(held->pid, held->fd);
	return fd >= 0 && ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

static bool has_connections(const struct look *look, const struct held *held)
{
	if (look->count == 0)
		return false;
	uint32_t inode = (uint32_t)strtoul(held->link + strcspn(held->link, "0123456789"), NULL, 10);
	for (size_t i = 0; i < look->count; i++)
		if (look->waiting[i].counts && look->waiting[i].listener == inode)
			return true;
	return false;
}

/* What link of /proc/PID/fd to look at, what to look for, and what that means. */
static const struct {
	const char *link;
	bool (*is_lost)(const struct look *look, const struct held *held);
	bool passes;
	const char *what;
} kinds[] = {
	{ "socket:[", has_connections, true,
	  "has not yet accepted a connection, which cannot be carried before it is" },
	{ "anon_inode:[eventfd]", is_semaphore, false,
	  "has an eventfd open that is a semaphore (EFD_SEMAPHORE), which cannot be carried" },
	{ "anon_inode:[eventfd]", has_counted_far, false,
	  "has an eventfd open that has counted beyond 32 bits, which cannot be carried" },
	{ "anon_inode:inotify", has_events, true,
	  "has not yet read all events of an inotify, which cannot be carried before it has" },
};

/* The process as the job knows it. */
static void note(struct look *look, pid_t pid, bool passes, const char *what)
{
	if (look->found && (passes || !look->passes))
		return;
	autofree char *path = format_string("/proc/%d/status", (int)pid), *text = NULL;
	static const char first[] = "Name:\t";
	if (file_read(path, TEXT_LIMIT, &text, NULL) < 0 || strncmp(text, first, strlen(first)) != 0)
		return;
	const char *name = text + strlen(first);
	look->found = true;
	look->passes = passes;
	snprintf(look->what, sizeof(look->what), "process %d (%.*s) %s", (int)held_own_pid(pid),
		 (int)strcspn(name, "\n"), name, what);
}

static void look_at(const struct held *held, void *context)
{
	struct look *look = context;
	for (size_t i = 0; i < array_length(kinds); i++)
		if (strncmp(held->link, kinds[i].link, strlen(kinds[i].link)) == 0 &&
		    kinds[i].is_lost(look, held))
			note(look, held->pid, kinds[i].passes, kinds[i].what);
}

static int tell_loose(const struct look *look, struct error *err)
{
	return look->loose ? error_set(err, EAGAIN, "%s, and cannot be carried", look->loose) : 0;
}

int uncarried_look(const struct spec *spec, struct error *err)
{
	struct look look = { .spec = spec };
	int status = look_at_connections(&look, err);
	if (status == 0)
		held_each_of_job(look_at, &look);
	free(look.waiting);
	if (status < 0)
		return status;
	if (look.found)
		return error_set(err, look.passes ? EAGAIN : EIO, "%s", look.what);
	return tell_loose(&look, err);
}

int uncarried_look_again(const struct spec *spec, struct error *err)
{
	struct look look = { .spec = spec };
	int status = look_at_connections(&look, err);
	free(look.waiting);
	return status < 0 ? status : tell_loose(&look, err);
}
