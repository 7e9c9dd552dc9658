/* The device between the kernel and libfuse, and what libfuse 3.14 does not know of the kernel's protocol. */
#pragma once

#include <fuse_lowlevel.h>

/* The session serves that descriptor of a mount on /dev/fuse, which is its own from then on. 0, or -errno. */
int fuse_device_attach(struct fuse_session *session, int fd);
