/* What the container's first process (init.c) and the keeper have agreed upon. */
#pragma once

/* Where init finds the pipe on which it writes the errno of an execve of the script that failed. */
#define INIT_REPORT_FD 3

/* The script's process id in the container: the first that init starts. */
#define INIT_SCRIPT_PID 2

/*
 * An exit status has room for an exit code or for a signal, not for both. Init ends with the number of the
 * signal that killed the script under this name (/proc/PID/comm of a zombie), with the exit code of the
 * script under any other: so the end needs no disk to be told, which may be full.
 */
#define INIT_KILLED "float-killed"
