/* The holder's own process: holder.h says what it is for. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/holder.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"

struct hold {
	int listening, directory;
	int connection; /* to the floatfs that serves, or is about to; -1 */
	int held[HOLDER_FDS];
	struct holder_page *page; /* of held; NULL while there is nothing */
	unsigned seconds;
	bool served;         /* by who is connected */
	int64_t deadline_ms; /* while it is not: then it has taken too long */
};

static int compare_ints(const void *one, const void *other)
{
	return *(const int *)one - *(const int *)other;
}

/* Floatfs's descriptors are not ours: its lock, whoever waits for it to be ready. */
static void close_others(int keep[], size_t count)
{
	unsigned from = STDERR_FILENO + 1;
	qsort(keep, count, sizeof(*keep), compare_ints);
	for (size_t i = 0; i < count; i++) {
		if ((unsigned)keep[i] > from)
			syscall(SYS_close_range, from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	syscall(SYS_close_range, from, ~0U, 0);
}

static void become_holder(struct hold *hold, const struct holder_config *config)
{
	int keep[] = { hold->listening, hold->directory, hold->connection };
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE };
	/* Its name in ps, not floatfs's. */
	prctl(PR_SET_NAME, "floatfs-holder");
	setsid();
	/* It ends when floatfs does: never before it. */
	for (size_t i = 0; i < array_length(ignored); i++)
		signal(ignored[i], SIG_IGN);
	close_others(keep, array_length(keep));
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int log_fd = config->log ? open(config->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640) : -1;
	dup2(null_fd, STDIN_FILENO);
	dup2(null_fd, STDOUT_FILENO);
	if (log_fd >= 0)
		dup2(log_fd, STDERR_FILENO);
	/* When memory is short floatfs may be killed: that is what this one is for. */
	(void)file_write("/proc/self/oom_score_adj", "-1000");
	if (chdir("/") < 0)
		log_info("the holder cannot change to /: %s", strerror(errno));
}

static _Noreturn void end(struct hold *hold)
{
	/* Before the connection closes, which floatfs waits for: the name is then somebody else's. */
	unlinkat(hold->directory, "holder", 0);
	_exit(0);
}

/* Nobody came. Whatever waits on the mount is told so. */
static _Noreturn void give_up(struct hold *hold)
{
	log_info("no floatfs took over the mount on %s in %u s: it is unmounted", hold->page->mountpoint,
		 hold->seconds);
	if (holder_is_mounted(hold->page) && umount2(hold->page->mountpoint, MNT_DETACH) < 0)
		log_info("cannot unmount %s: %s", hold->page->mountpoint, strerror(errno));
	/* Our end ends it too, unless somebody else has the descriptor. */
	autofree char *path =
	    format_string("/sys/fs/fuse/connections/%u/abort", minor((dev_t)hold->page->device));
	(void)file_write(path, "1");
	end(hold);
}

static void accept_floatfs(struct hold *hold)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	struct holder_message message = { .word = HOLDER_HELD };
	autoclose int fd = accept4(hold->listening, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || peer.uid != 0)
		return;
	if (holder_send(fd, &message, hold->page ? hold->held : NULL) < 0)
		return;
	/* It has the lock of the state directory: whoever was there before it is gone. */
	if (hold->connection >= 0)
		close(hold->connection);
	if (hold->served)
		hold->deadline_ms = clock_monotonic_ms() + (int64_t)hold->seconds * 1000;
	hold->served = false;
	hold->connection = take_fd(fd);
}

static void take(struct hold *hold, int fds[HOLDER_FDS])
{
	struct holder_page *page = fds[HOLDER_DEVICE] >= 0 ? holder_map(fds[HOLDER_PAGE]) : NULL;
	for (int i = 0; i < HOLDER_FDS; i++)
		if (fds[i] >= 0 && (!page || hold->page))
			close(fds[i]);
	if (!page || hold->page)
		return;
	hold->page = page;
	memcpy(hold->held, fds, sizeof(hold->held));
}

static void lose_floatfs(struct hold *hold)
{
	close(take_fd(hold->connection));
	if (!hold->page)
		end(hold);
	if (hold->served)
		hold->deadline_ms = clock_monotonic_ms() + (int64_t)hold->seconds * 1000;
	hold->served = false;
}

static void listen_to_floatfs(struct hold *hold)
{
	struct holder_message message;
	int fds[HOLDER_FDS];
	if (holder_receive(hold->connection, &message, fds) <= 0) {
		lose_floatfs(hold);
		return;
	}
	take(hold, fds);
	if (message.word == HOLDER_END)
		end(hold);
	if (message.word == HOLDER_SERVING) {
		hold->served = true;
		hold->seconds = message.seconds;
	}
}

/* Until when poll waits. The device is looked at while nobody serves it only: each request would wake us. */
static int64_t time_left(const struct hold *hold)
{
	int64_t left = hold->deadline_ms - clock_monotonic_ms();
	return hold->connection >= 0 ? -1 : left > 0 ? left : 0;
}

_Noreturn void holder_process_run(int listening, int connection, int directory,
				  const struct holder_config *config)
{
	struct hold hold = { .listening = listening,
			     .directory = directory,
			     .connection = connection,
			     .held = { -1, -1 },
			     .seconds = config->seconds };
	become_holder(&hold, config);
	hold.deadline_ms = clock_monotonic_ms() + (int64_t)hold.seconds * 1000;
	for (;;) {
		struct pollfd waiting[] = {
			{ .fd = hold.listening, .events = POLLIN },
			{ .fd = hold.connection, .events = POLLIN },
			{ .fd = hold.connection >= 0 ? -1 : hold.held[HOLDER_DEVICE] },
		};
		if (poll(waiting, array_length(waiting), (int)time_left(&hold)) < 0)
			continue;
		if (waiting[1].revents)
			listen_to_floatfs(&hold);
		else if (waiting[2].revents)
			end(&hold); /* it was unmounted */
		if (waiting[0].revents)
			accept_floatfs(&hold);
		else if (hold.connection < 0 && time_left(&hold) == 0)
			give_up(&hold);
	}
}
