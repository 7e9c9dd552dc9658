/*
 * Reads of the job's own `wait`. What they wait for is the end of the job, and their tasks end with it: nobody
 * answers them but by an interrupt. That comes with a signal, and when criu stops the task: no such read stands
 * across a freeze, and the checkpoint lets it be made again (mend.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "agent/jobfs_inside.h"

static struct parked *unlist(struct jobfs *fs, fuse_req_t req)
{
	for (struct parked **link = &fs->parked; *link; link = &(*link)->following) {
		struct parked *parked = *link;
		if (parked->req != req)
			continue;
		*link = parked->following;
		return parked;
	}
	return NULL;
}

/* Called by libfuse; at once, too, when the request was interrupted before it came to us: it is not listed then. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct parked *parked = unlist(data, req);
	if (!parked)
		return;
	free(parked);
	fuse_reply_err(req, EINTR);
}

void jobfs_park(fuse_req_t req)
{
	struct jobfs *fs = jobfs_of(req);
	struct parked *parked = malloc(sizeof(*parked));
	fuse_req_interrupt_func(req, on_interrupt, fs);
	if (!parked || fuse_req_interrupted(req)) {
		fuse_reply_err(req, parked ? EINTR : ENOMEM);
		free(parked);
		return;
	}
	*parked = (struct parked){ .following = fs->parked, .req = req };
	fs->parked = parked;
}

void jobfs_end_parked(struct jobfs *fs)
{
	for (struct parked *parked; (parked = fs->parked);) {
		fs->parked = parked->following;
		fuse_reply_err(parked->req, EIO);
		free(parked);
	}
}
