/* epoll: its set with events and data, edge-triggered and one-shot entries, an epoll in an epoll. */
#include <sys/epoll.h>

#include "tests/survive/survive.h"

static void add(int set, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };
	check(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
}

int main(void)
{
	int level[2], edge[2], once[2], inner[2], set = epoll_create1(EPOLL_CLOEXEC),
						  nested = epoll_create1(0);
	struct epoll_event got[8];
	char byte;
	check(!pipe(level) && !pipe(edge) && !pipe(once) && !pipe(inner) && set >= 0 && nested >= 0);
	add(set, level[0], EPOLLIN, 0x1111111122222222);
	add(set, edge[0], EPOLLIN | EPOLLET, 2);
	add(set, once[0], EPOLLIN | EPOLLONESHOT, 3);
	add(nested, inner[0], EPOLLIN, 5);
	add(set, nested, EPOLLIN, 4);
	/* The one-shot entry is used up, and stays so. */
	check(write(once[1], "x", 1) == 1 && epoll_wait(set, got, 8, 0) == 1 && got[0].data.u64 == 3);
	while (survive_moved()) {
		check(epoll_wait(set, got, 8, 0) == 0);
		check(write(level[1], "x", 1) == 1);
		for (int i = 0; i < 2; i++)
			check(epoll_wait(set, got, 8, 0) == 1 && got[0].data.u64 == 0x1111111122222222);
		check(read(level[0], &byte, 1) == 1);
		check(write(edge[1], "x", 1) == 1 && epoll_wait(set, got, 8, 0) == 1 && got[0].data.u64 == 2);
		check(epoll_wait(set, got, 8, 0) == 0 && read(edge[0], &byte, 1) == 1);
		check(write(inner[1], "x", 1) == 1 && epoll_wait(set, got, 8, 0) == 1 &&
		      got[0].data.u64 == 4);
		check(epoll_wait(nested, got, 8, 0) == 1 && got[0].data.u64 == 5 &&
		      read(inner[0], &byte, 1) == 1);
	}
	survive_ok();
	return 0;
}
