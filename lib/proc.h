/* Running programs. Any thread may call these; no descriptor above 2 is inherited but those that setup makes so. */
#pragma once

#include <sys/types.h>

#include "lib/error.h"

struct proc_options {
	int timeout_ms; /* 0: a minute. The program and its process group are killed after it: -ETIMEDOUT */
	int (*setup)(
	    void *context); /* in the child before exec (async-signal-safe calls only); 0 or -errno */
	void *setup_context;
	const char *const *environment; /* "K=V" added to the caller's; NULL-terminated, or NULL */
	int stdin_fd;                   /* 0: /dev/null */
	int stdout_fd;                  /* 0: captured with stderr, see output */
	char **output;                  /* its output (last 64 KiB), caller frees; NULL: not wanted */
};

/*
 * Run argv (found by PATH) and wait. 0 when it exits with 0; else -EIO, with the program's last line in err, or -EINTR
 * when it was killed by a signal. options may be NULL.
 */
int proc_run(const char *const argv[], const struct proc_options *options, struct error *err);

#define proc_run_simple(err, ...) proc_run((const char *const[]){ __VA_ARGS__, NULL }, NULL, err)

/*
 * Raises this process's own limit of open files as far as it may. What proc_run runs has the limit of before. Call it before
 * there are threads.
 */
void proc_raise_files(void);
/* Before another program is executed in this process. */
void proc_restore_files(void);
