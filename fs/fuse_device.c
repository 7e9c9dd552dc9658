#include "fs/fuse_device.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * A file that is read by direct_io may be mapped shared (Linux 6.6, include/uapi/linux/fuse.h): live files are read so, and
 * Python's mmap maps so. The kernel drops the pages of a file when it is mapped, and when its size turns out to be another. A
 * kernel that does not know the flag does not look at it.
 */
#define DIRECT_IO_ALLOW_MMAP (1ULL << 36)

/* The number of the kernel's first request, INIT. A process serves one mount. */
static _Atomic uint64_t init_request;

static ssize_t receive(int fd, void *buffer, size_t size, void *context)
{
	(void)context;
	ssize_t got = read(fd, buffer, size);
	const struct fuse_in_header *header = buffer;
	if (got >= (ssize_t)sizeof(*header) && header->opcode == FUSE_INIT)
		atomic_store(&init_request, header->unique);
	return got;
}

static ssize_t reply(int fd, struct iovec *parts, int count, void *context)
{
	(void)context;
	const struct fuse_out_header *header = parts[0].iov_base;
	if (count == 2 && header->unique && header->unique == atomic_load(&init_request) &&
	    parts[1].iov_len == sizeof(struct fuse_init_out)) {
		struct fuse_init_out *init = parts[1].iov_base;
		init->flags |= FUSE_INIT_EXT;
		init->flags2 |= DIRECT_IO_ALLOW_MMAP >> 32;
	}
	return writev(fd, parts, count);
}

int fuse_device_attach(struct fuse_session *session, int fd)
{
	static const struct fuse_custom_io io = { .writev = reply, .read = receive };
	return fuse_session_custom_io(session, &io, fd);
}
