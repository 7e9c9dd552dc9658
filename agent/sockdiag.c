#include "agent/sockdiag.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>

int sockdiag_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	return fd < 0 ? -errno : fd;
}

int sockdiag_ask(int fd, uint16_t type, uint16_t flags, const void *request, size_t size, sockdiag_each *each,
		 void *context)
{
	struct nlmsghdr header = { .nlmsg_len = (uint32_t)(sizeof(header) + size),
				   .nlmsg_type = type,
				   .nlmsg_flags = NLM_F_REQUEST | flags };
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)request, size } };
	struct msghdr question = { .msg_iov = parts, .msg_iovlen = 2 };
	if (sendmsg(fd, &question, 0) < 0)
		return -errno;

	_Alignas(struct nlmsghdr) char answer[16384];
	int status = 0;
	for (;;) {
		ssize_t got = recv(fd, answer, sizeof(answer), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		size_t left = (size_t)got;
		for (struct nlmsghdr *part = (void *)answer; NLMSG_OK(part, left);
		     part = NLMSG_NEXT(part, left)) {
			if (part->nlmsg_type == NLMSG_DONE)
				return status;
			if (part->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(part))->error;
			if (status == 0 && each)
				status = each(NLMSG_DATA(part), NLMSG_PAYLOAD(part, 0), context);
		}
	}
}
