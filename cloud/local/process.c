#include "cloud/local/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/file.h"

int process_start_time(pid_t pid, long long *ticks)
{
	autofree char *path = format_string("/proc/%d/stat", (int)pid);
	autofree char *text = NULL;
	int status = file_read(path, 4096, &text, NULL);
	if (status < 0)
		return status;
	/* proc_pid_stat(5): field 22; the second, in parentheses, may hold anything. */
	enum { AFTER_NAME = 3, START_TIME = 22 };
	char *rest = strrchr(text, ')'), *field = NULL;
	if (!rest)
		return -EBADMSG;
	rest += 2;
	for (int i = AFTER_NAME; i <= START_TIME; i++)
		field = strsep(&rest, " ");
	return field && sscanf(field, "%lld", ticks) == 1 ? 0 : -EBADMSG;
}
