#include "agent/spent.h"

#include <errno.h>
#include <unistd.h>

#include "agent/layout.h"
#include "lib/cleanup.h"

char *spent_path(const struct layout *layout)
{
	return layout_path(layout, "process/image/spent");
}

int spent_check(const struct layout *layout, struct error *err)
{
	autofree char *path = spent_path(layout);
	return access(path, F_OK) < 0
		   ? 0
		   : error_set(err, EOWNERDEAD,
			       "the job has gone on from its process image before: go back "
			       "to a snapshot");
}
