/* poll, ppoll, select, pselect and epoll_wait in progress, with timeouts and without, end neither early nor late,
 * nor with an error. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include "tests/survive/waits.h"

static const struct timespec time_span = WAITS_TIMESPEC;
static int never[2], poll_end[2], select_end[2], epoll_end[2], epoll_timed, epoll_woken;

static int run_poll(void)
{
	return poll(&(struct pollfd){ .fd = never[0], .events = POLLIN }, 1, WAITS_MS);
}

static int run_ppoll(void)
{
	return ppoll(&(struct pollfd){ .fd = never[0], .events = POLLIN }, 1, &time_span, NULL);
}

static int run_select(void)
{
	fd_set set;
	FD_ZERO(&set);
	FD_SET(never[0], &set);
	return select(never[0] + 1, &set, NULL, NULL,
		      &(struct timeval){ .tv_sec = WAITS_MS / 1000, .tv_usec = WAITS_MS % 1000 * 1000 });
}

static int run_pselect(void)
{
	return pselect(0, NULL, NULL, NULL, &time_span, NULL);
}

static int run_epoll(void)
{
	struct epoll_event event;
	return epoll_wait(epoll_timed, &event, 1, WAITS_MS);
}

/* As it is called without a library: what is left cannot be written to the constant. */
static int run_ppoll_constant(void)
{
	return (int)syscall(SYS_ppoll, NULL, 0, &time_span, NULL, 0);
}

static int run_epoll_pwait2(void)
{
	struct epoll_event event;
	return (int)syscall(SYS_epoll_pwait2, epoll_timed, &event, 1, &time_span, NULL, 0);
}

static int run_poll_woken(void)
{
	return poll(&(struct pollfd){ .fd = poll_end[0], .events = POLLIN }, 1, -1) == 1 ? 0 : -1;
}

static int run_select_woken(void)
{
	fd_set set;
	FD_ZERO(&set);
	FD_SET(select_end[0], &set);
	return select(select_end[0] + 1, &set, NULL, NULL, NULL) == 1 ? 0 : -1;
}

static int run_epoll_woken(void)
{
	struct epoll_event event;
	return epoll_wait(epoll_woken, &event, 1, -1) == 1 && event.data.u64 == 99 ? 0 : -1;
}

static void wake_poll(void)
{
	check(write(poll_end[1], "x", 1) == 1);
}

static void wake_select(void)
{
	check(write(select_end[1], "x", 1) == 1);
}

static void wake_epoll(void)
{
	check(write(epoll_end[1], "x", 1) == 1);
}

static const struct survive_wait waits[] = {
	{ "poll with a timeout", run_poll, NULL },
	{ "ppoll with a timeout", run_ppoll, NULL },
	{ "select with a timeout", run_select, NULL },
	{ "pselect with a timeout", run_pselect, NULL },
	{ "epoll_wait with a timeout", run_epoll, NULL },
	{ "epoll_pwait2 with a timeout", run_epoll_pwait2, NULL },
	{ "ppoll with a constant timeout", run_ppoll_constant, NULL },
	{ "poll", run_poll_woken, wake_poll },
	{ "select", run_select_woken, wake_select },
	{ "epoll_wait", run_epoll_woken, wake_epoll },
};

int main(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 99 };
	check(!pipe(never) && !pipe(poll_end) && !pipe(select_end) && !pipe(epoll_end));
	epoll_timed = epoll_create1(0);
	epoll_woken = epoll_create1(0);
	check(epoll_ctl(epoll_timed, EPOLL_CTL_ADD, never[0], &event) == 0);
	check(epoll_ctl(epoll_woken, EPOLL_CTL_ADD, epoll_end[0], &event) == 0);
	return survive_waits(waits, sizeof(waits) / sizeof(*waits));
}
