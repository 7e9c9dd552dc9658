#include "fs/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/fuse_watch.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"

enum { ANSWER_SECONDS = 5 };

struct holder {
	int socket; /* -1: there is none */
	int device; /* taken over; -1 */
	int page_fd;
	struct holder_page *page;
	unsigned seconds;
};

/* ---- the connection ---- */

int holder_send(int socket, const struct holder_message *message, const int fds[HOLDER_FDS])
{
	struct iovec part = { (void *)message, sizeof(*message) };
	union {
		char space[CMSG_SPACE(sizeof(int[HOLDER_FDS]))];
		struct cmsghdr aligned;
	} control = { 0 };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	if (fds) {
		header.msg_control = control.space;
		header.msg_controllen = sizeof(control.space);
		struct cmsghdr *ancillary = CMSG_FIRSTHDR(&header);
		ancillary->cmsg_level = SOL_SOCKET;
		ancillary->cmsg_type = SCM_RIGHTS;
		ancillary->cmsg_len = CMSG_LEN(sizeof(int[HOLDER_FDS]));
		memcpy(CMSG_DATA(ancillary), fds, sizeof(int[HOLDER_FDS]));
	}
	return sendmsg(socket, &header, MSG_NOSIGNAL) == (ssize_t)sizeof(*message) ? 0 : -errno;
}

int holder_receive(int socket, struct holder_message *message, int fds[HOLDER_FDS])
{
	struct iovec part = { message, sizeof(*message) };
	union {
		char space[CMSG_SPACE(sizeof(int[HOLDER_FDS]))];
		struct cmsghdr aligned;
	} control = { 0 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.space,
				 .msg_controllen = sizeof(control.space) };
	fds[HOLDER_DEVICE] = fds[HOLDER_PAGE] = -1;
	ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	if (got < 0)
		return errno == ECONNRESET ? 0 : -errno;
	struct cmsghdr *ancillary = CMSG_FIRSTHDR(&header);
	if (ancillary && ancillary->cmsg_type == SCM_RIGHTS &&
	    ancillary->cmsg_len == CMSG_LEN(sizeof(int[HOLDER_FDS])))
		memcpy(fds, CMSG_DATA(ancillary), sizeof(int[HOLDER_FDS]));
	if (got == 0)
		return 0;
	return got == (ssize_t)sizeof(*message) ? 1 : -EBADMSG;
}

/* STATE/holder, however long the path of STATE is: an address has room for 107 bytes (unix(7)). */
static struct sockaddr_un address_in(int directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/holder", directory);
	return address;
}

static int connect_to_holder(int directory)
{
	struct sockaddr_un address = address_in(directory);
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return take_fd(fd);
}

static int listen_in(int directory)
{
	struct sockaddr_un address = address_in(directory);
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || (unlinkat(directory, "holder", 0) < 0 && errno != ENOENT))
		return -errno;
	mode_t mask = umask(0177);
	int status = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (status < 0)
		return status;
	return listen(fd, 8) < 0 ? -errno : take_fd(fd);
}

/* ---- the page ---- */

struct holder_page *holder_map(int fd)
{
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(struct holder_page))
		return NULL;
	struct holder_page *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return NULL;
	if (page->version == HOLDER_VERSION)
		return page;
	munmap(page, sizeof(*page));
	return NULL;
}

static int make_page(struct holder *holder, const struct holder_config *config, struct error *err)
{
	uint32_t version = HOLDER_VERSION;
	holder->page_fd = memfd_create("floatfs", MFD_CLOEXEC);
	if (holder->page_fd < 0 || ftruncate(holder->page_fd, sizeof(struct holder_page)) < 0 ||
	    write(holder->page_fd, &version, sizeof(version)) != sizeof(version))
		return error_sys(err, errno, "cannot make what floatfs shares with the holder of its mount");
	holder->page = holder_map(holder->page_fd);
	if (!holder->page)
		return error_sys(err, errno, "cannot map what floatfs shares with the holder of its mount");
	random_text(holder->page->id, sizeof(holder->page->id) - 1, "0123456789abcdef");
	holder->page->private_mount = config->private_mount;
	return snprintf(holder->page->mountpoint, sizeof(holder->page->mountpoint), "%s",
			config->mountpoint) < (int)sizeof(holder->page->mountpoint)
		   ? 0
		   : error_set(err, ENAMETOOLONG, "the path %s is too long", config->mountpoint);
}

static void forget_page(struct holder *holder)
{
	if (holder->page)
		munmap(take_pointer(holder->page), sizeof(struct holder_page));
	if (holder->page_fd >= 0)
		close(take_fd(holder->page_fd));
}

bool holder_is_mounted(const struct holder_page *page)
{
	struct statx st;
	/* What the kernel knows by itself: who would answer may be gone. */
	return fuse_watch_is_mounted(page->mountpoint) &&
	       statx(AT_FDCWD, page->mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) == 0 &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == page->device;
}

/* ---- finding one ---- */

/* NULL: it can be taken over. */
static const char *why_useless(const struct holder *holder, const struct holder_config *config)
{
	if (holder->device < 0)
		return "it was never made";
	if (!holder->page)
		return "it is of another version of floatfs";
	if (holder->page->init_length == 0 || holder->page->init_length > HOLDER_INIT_MAX)
		return "it was not served yet";
	if (strcmp(holder->page->mountpoint, config->mountpoint))
		return "it is another mount point";
	if (holder->page->private_mount != config->private_mount)
		return "it is for others to use, or not";
	for (size_t i = 0; i < HOLDER_MEANINGS; i++)
		if (holder->page->meanings[i] && holder->page->meanings[i] != config->meanings[i])
			return "its files have other numbers";
	return holder_is_mounted(holder->page) ? NULL : "it was unmounted";
}

static void give_up(struct holder *holder, const char *why)
{
	log_info("the mount%s%s that floatfs left is not taken over: %s", holder->page ? " on " : "",
		 holder->page ? holder->page->mountpoint : "", why);
	if (holder->page && holder_is_mounted(holder->page))
		umount2(holder->page->mountpoint, MNT_DETACH);
	holder_end(holder);
	/* The last descriptor: whoever waits on the mount is told that nobody serves it. */
	if (holder->device >= 0)
		close(take_fd(holder->device));
	forget_page(holder);
}

static bool find(struct holder *holder, int directory, const struct holder_config *config)
{
	struct holder_message message;
	int fds[HOLDER_FDS];
	holder->socket = connect_to_holder(directory);
	if (holder->socket < 0)
		return false;
	if (holder_receive(holder->socket, &message, fds) != 1 || message.word != HOLDER_HELD) {
		log_info("the holder of the mount does not answer");
		close(take_fd(holder->socket));
		return false;
	}
	holder->device = fds[HOLDER_DEVICE];
	holder->page_fd = fds[HOLDER_PAGE];
	holder->page = holder_map(holder->page_fd);
	const char *why = why_useless(holder, config);
	if (why)
		give_up(holder, why);
	return !why;
}

/* ---- starting one ---- */

/* Forked twice: it is nobody's child, and no one's to wait for. */
static int start(struct holder *holder, int directory, const struct holder_config *config, struct error *err)
{
	int pair[2];
	autoclose int listening = listen_in(directory);
	if (listening < 0)
		return error_sys(err, -listening, "cannot make the socket %s/holder", config->state);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_sys(err, errno, "cannot make a socket");
	pid_t pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			holder_process_run(listening, pair[1], directory, config);
		_exit(pid < 0);
	}
	close(pair[1]);
	holder->socket = pair[0];
	int how = 0;
	while (pid > 0 && waitpid(pid, &how, 0) < 0 && errno == EINTR)
		;
	return pid < 0 || how ? error_sys(err, EAGAIN, "cannot fork") : 0;
}

int holder_open(const struct holder_config *config, struct holder **out, struct error *err)
{
	struct holder *holder = malloc(sizeof(*holder));
	if (!holder)
		return error_set(err, ENOMEM, "out of memory");
	*holder = (struct holder){ .socket = -1, .device = -1, .page_fd = -1, .seconds = config->seconds };
	autoclose int directory = open(config->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int status = directory < 0 ? error_sys(err, errno, "cannot open %s", config->state) : 0;
	if (status == 0 && !find(holder, directory, config)) {
		status = make_page(holder, config, err);
		if (status == 0 && config->seconds)
			status = start(holder, directory, config, err);
	}
	if (status < 0) {
		holder_close(holder);
		return status;
	}
	memcpy(holder->page->meanings, config->meanings, sizeof(holder->page->meanings));
	*out = holder;
	return 0;
}

/* ---- for the mount ---- */

struct holder_page *holder_page(struct holder *holder)
{
	return holder->page;
}

int holder_take_device(struct holder *holder)
{
	return take_fd(holder->device);
}

bool holder_is_there(const struct holder *holder)
{
	return holder->socket >= 0;
}

int holder_give(struct holder *holder, int device, struct error *err)
{
	struct holder_message message = { .word = HOLDER_GIVE };
	const int fds[HOLDER_FDS] = { [HOLDER_DEVICE] = device, [HOLDER_PAGE] = holder->page_fd };
	if (holder->socket < 0)
		return 0;
	int status = holder_send(holder->socket, &message, fds);
	return status < 0 ? error_sys(err, -status, "the holder of the mount is gone") : 0;
}

void holder_tell_serving(struct holder *holder)
{
	struct holder_message message = { .word = HOLDER_SERVING, .seconds = holder->seconds };
	if (holder->socket < 0)
		return;
	if (!holder->seconds)
		holder_end(holder);
	else if (holder_send(holder->socket, &message, NULL) < 0)
		log_warning("the holder of the mount is gone: it will not outlive this floatfs");
}

void holder_end(struct holder *holder)
{
	struct holder_message message = { .word = HOLDER_END };
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	int fds[HOLDER_FDS];
	if (holder->socket < 0)
		return;
	setsockopt(holder->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (holder_send(holder->socket, &message, NULL) == 0 &&
	    holder_receive(holder->socket, &message, fds) != 0)
		log_info("the holder of the mount does not end");
	close(take_fd(holder->socket));
}

void holder_close(struct holder *holder)
{
	if (holder->socket >= 0)
		close(holder->socket);
	if (holder->device >= 0)
		close(holder->device);
	forget_page(holder);
	free(holder);
}
