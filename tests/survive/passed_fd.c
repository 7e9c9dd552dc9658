/* Descriptors that were sent over a unix socket and not yet received arrive: a file with its offset, and a
 * pipe. */
#include <sys/socket.h>

#include "tests/survive/survive.h"

static void pass(int over, const int *fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = "";
	struct iovec data = { .iov_base = "x", .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(2 * sizeof(int)),
				    .cmsg_level = SOL_SOCKET,
				    .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(header), fds, 2 * sizeof(int));
	check(sendmsg(over, &message, 0) == 1);
}

static void take(int from, int *fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))], byte;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	check(recvmsg(from, &message, 0) == 1);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	check(header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(2 * sizeof(int)));
	memcpy(fds, CMSG_DATA(header), 2 * sizeof(int));
}

int main(void)
{
	int pair[2], ends[2];
	char text[16];
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(ends) == 0);
	int file = open("passed", O_RDWR | O_CREAT, 0600);
	check(file >= 0 && write(file, "0123456789", 10) == 10);
	bool moved = false;
	do {
		int fds[2] = { open("passed", O_RDONLY), dup(ends[0]) };
		if (moved) {
			int got[2];
			take(pair[1], got);
			check(read(got[0], text, 3) == 3 && !memcmp(text, "567", 3));
			check(write(ends[1], "pipe", 4) == 4 && read(got[1], text, sizeof(text)) == 4);
			check(close(got[0]) == 0 && close(got[1]) == 0);
		}
		check(lseek(fds[0], 5, SEEK_SET) == 5);
		pass(pair[0], fds);
		/* Nobody has the file open now but the socket. */
		check(close(fds[0]) == 0 && close(fds[1]) == 0);
	} while ((moved = survive_moved()));
	survive_ok();
	return 0;
}
