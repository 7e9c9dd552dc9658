/* images/core.proto and pstree.proto of criu's source. */
#include <fcntl.h>
#include <unistd.h>

#include "agent/criu_image.h"
#include "agent/mend_inside.h"
#include "lib/cleanup.h"
#include "lib/file.h"

enum { TREE_ID = 1, TREE_THREADS = 5 };

/* 0: it has none. */
static pid_t find_task(int directory, pid_t thread)
{
	autofree unsigned char *data = NULL;
	autoclose int fd = -1;
	struct span image, task;
	struct field field;
	if (criu_image_read(directory, "pstree.img", O_RDONLY, &data, &image, &fd) < 0)
		return 0;
	while (criu_image_next(&image, &task))
		for (struct span rest = task; protobuf_next(&rest, &field);)
			if (field.number == TREE_THREADS && field.value == (uint64_t)thread)
				return (pid_t)protobuf_value(task, TREE_ID);
	return 0;
}

struct span mend_task(const struct mending *mending, struct span core, unsigned char **data)
{
	struct span own = protobuf_part(core, CORE_TASK), image;
	*data = NULL;
	if (own.at)
		return own;
	autofree char *name = format_string("core-%d.img", (int)find_task(mending->directory, mending->id));
	autoclose int fd = -1;
	if (criu_image_read(mending->directory, name, O_RDONLY, data, &image, &fd) < 0 ||
	    !criu_image_next(&image, &core))
		return own;
	return protobuf_part(core, CORE_TASK);
}
