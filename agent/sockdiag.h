/*
 * What the kernel knows of the sockets of the caller's network namespace (sock_diag(7)). The descriptor is one thread's at
 * a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A NETLINK_SOCK_DIAG socket, close-on-exec, or -errno. */
int sockdiag_open(void);

/* Gets the body of one message of the answer; -errno ends the question. */
typedef int sockdiag_each(const void *body, size_t length, void *context);

/*
 * Sends one request of that type (SOCK_DIAG_BY_FAMILY, SOCK_DESTROY) and reads its answer to the end. flags: NLM_F_DUMP
 * or NLM_F_ACK. 0, or -errno: the kernel's, or the first of each's. each may be NULL where an acknowledgement is all
 * that comes.
 */
int sockdiag_ask(int fd, uint16_t type, uint16_t flags, const void *request, size_t size, sockdiag_each *each,
		 void *context);
