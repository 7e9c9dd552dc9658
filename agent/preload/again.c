/*
 * When a dump fails criu lets go of the tasks as they were, but for the calls that they were in: its parasite ends with
 * rt_sigreturn(2), after which the kernel lets a call that was to go on end with EINTR (x86, restore_sigcontext:
 * do_no_restart_syscall). To the job nothing has happened: such calls are made again, and so are those that the kernel ends with
 * EINTR whenever a task is stopped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/user.h>

#include "agent/preload/preload.h"

#ifdef __x86_64__
enum { THREAD_MAX = 1 << 22, ERESTART_RESTARTBLOCK = 516 };

/* Threads whose registers criu has set: what they were to restart is forgotten. */
static unsigned char used[THREAD_MAX / 8];

static const struct wait *find_wait(pid_t thread)
{
	for (int i = 0, count = preload_shared ? preload_shared->waits_count : 0; i < count; i++)
		if (preload_shared->waits[i].thread == thread)
			return &preload_shared->waits[i].wait;
	return NULL;
}

static unsigned long long read_set(const char *text, const char *key)
{
	const char *line = strstr(text, key);
	return line ? strtoull(line + strlen(key), NULL, 16) : 0;
}

/* A handler is to run: the call may well end by it. */
static bool has_signal(pid_t thread)
{
	char path[32], text[4096];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	FILE *file = fopen(path, "re");
	if (!file)
		return true;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return ((read_set(text, "\nSigPnd:\t") | read_set(text, "\nShdPnd:\t")) &
		~read_set(text, "\nSigBlk:\t") & read_set(text, "\nSigCgt:\t")) != 0;
}

static bool write_memory(void *context, uint64_t address, const void *data, size_t length)
{
	const pid_t *thread = context;
	for (size_t at = 0; at < length; at += sizeof(long)) {
		long word;
		memcpy(&word, (const char *)data + at, sizeof(word));
		if (preload_ptrace(PTRACE_POKEDATA, *thread, (void *)(address + at), (void *)word) < 0)
			return false;
	}
	return true;
}

static void go_on_with_call(pid_t thread)
{
	struct user_regs_struct registers;
	if (preload_ptrace(PTRACE_GETREGS, thread, NULL, &registers) < 0 || (long long)registers.orig_rax < 0)
		return;
	bool restarts = (long long)registers.rax == -ERESTART_RESTARTBLOCK;
	if (restarts && !(used[thread / 8] >> thread % 8 & 1))
		return;
	if ((!restarts && (long long)registers.rax != -EINTR) || has_signal(thread))
		return;
	struct again again = {
		.number = (int64_t)registers.orig_rax,
		.ip = registers.rip,
		.sp = registers.rsp,
		.arguments = { registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8,
			       registers.r9 },
	};
	if (!again_make(&again, find_wait(thread), write_memory, &thread))
		return;
	registers.rip = again.ip;
	registers.rax = (unsigned long long)again.result;
	/* No call any more that the kernel would look at. */
	registers.orig_rax = (unsigned long long)-1;
	registers.rdi = again.arguments[0];
	registers.rsi = again.arguments[1];
	registers.rdx = again.arguments[2];
	registers.r10 = again.arguments[3];
	registers.r8 = again.arguments[4];
	registers.r9 = again.arguments[5];
	preload_ptrace(PTRACE_SETREGS, thread, NULL, &registers);
}

void again_note(enum __ptrace_request request, pid_t thread)
{
	if (thread <= 0 || thread >= THREAD_MAX)
		return;
	unsigned char bit = (unsigned char)(1 << thread % 8);
	if (request == PTRACE_SEIZE)
		used[thread / 8] &= (unsigned char)~bit;
	else if (request == PTRACE_SETREGS || request == PTRACE_SETREGSET)
		used[thread / 8] |= bit;
	else if (request == PTRACE_DETACH)
		go_on_with_call(thread);
}
#else
void again_note(enum __ptrace_request request, pid_t thread)
{
	(void)request;
	(void)thread;
}
#endif
