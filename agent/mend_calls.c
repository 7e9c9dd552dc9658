/* images/core.proto, core-x86.proto, sa.proto, siginfo.proto and pagemap.proto of criu's source. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/again.h"
#include "agent/criu_image.h"
#include "agent/mend_inside.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#ifdef __x86_64__

enum {
	THREAD_INFO_REGISTERS = 2,
	ACTION_HANDLER = 1,
	ACTION_FLAGS = 2,
	SIGNALS = 64,

	PAGEMAP_HEAD_PAGES = 1,
	PAGEMAP_ADDRESS = 1,
	PAGEMAP_COUNT_OLD = 2,
	PAGEMAP_FLAGS = 4,
	PAGEMAP_COUNT = 5,
	PAGEMAP_FLAG_PRESENT = 4,
};

/* The registers by their field numbers. */
enum {
	REGISTER_R10 = 8,
	REGISTER_R9 = 9,
	REGISTER_R8 = 10,
	REGISTER_AX = 11,
	REGISTER_CX = 12,
	REGISTER_DX = 13,
	REGISTER_SI = 14,
	REGISTER_DI = 15,
	REGISTER_ORIG_AX = 16,
	REGISTER_IP = 17,
	REGISTER_SP = 20,
	REGISTER_MODE = 28,
	REGISTERS = 29,
	MODE_32_BITS = 2,
};

static const int argument_registers[CALL_ARGUMENTS] = { REGISTER_DI,  REGISTER_SI, REGISTER_DX,
							REGISTER_R10, REGISTER_R8, REGISTER_R9 };

/* ---- signals ---- */

/* What the task does at the signal; empty: not known. */
static struct span find_action(struct span task, int number)
{
	struct field field;
	/* criu leaves out those that cannot be caught. */
	int at = number - 1 - (number > SIGKILL) - (number > SIGSTOP), i = 0;
	while (protobuf_next(&task, &field))
		if (field.number == TASK_ACTIONS && i++ == at)
			return field.bytes;
	return (struct span){ 0 };
}

/* Neither runs a handler nor ends the task: a call goes on after it. */
static bool is_harmless(struct span task, int number)
{
	struct span action = find_action(task, number);
	uint64_t handler = protobuf_value(action, ACTION_HANDLER);
	if (!action.at || handler == (uintptr_t)SIG_IGN)
		return action.at;
	if (handler != (uintptr_t)SIG_DFL)
		return false;
	switch (number) {
	case SIGCHLD:
	case SIGURG:
	case SIGWINCH:
	case SIGCONT:
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		return true;
	default:
		return false;
	}
}

static int read_signal(struct span signal)
{
	int number = 0;
	struct span info = protobuf_part(signal, QUEUE_SIGNALS);
	if ((size_t)(info.end - info.at) >= sizeof(number))
		memcpy(&number, info.at, sizeof(number));
	return number >= 1 && number <= SIGNALS ? number : 0;
}

/* The one that would be delivered first as soon as the task runs, of those that matter; 0: there is none. */
static int first_signal(struct span queue, uint64_t blocked, struct span task)
{
	struct field field;
	int first = 0;
	while (protobuf_next(&queue, &field)) {
		int number = read_signal(field.bytes);
		if (number && !(blocked >> (number - 1) & 1) && (!first || number < first) &&
		    !is_harmless(task, number))
			first = number;
	}
	return first;
}

struct ending {
	int signal; /* 0: there is none */
	bool restarts;
};

/* Is it to be ended by a signal that waits for it, as soon as it runs? A thread's own come first. */
static struct ending find_ending(const struct mending *mending, struct span core)
{
	struct span own = protobuf_part(core, CORE_TASK), thread = protobuf_part(core, CORE_THREAD);
	uint64_t blocked =
	    own.at ? protobuf_value(own, TASK_BLOCKED) : protobuf_value(thread, THREAD_BLOCKED);
	struct span of_thread = protobuf_part(thread, THREAD_SIGNALS),
		    of_task = protobuf_part(own, TASK_SIGNALS);
	autofree unsigned char *data = NULL;
	struct ending ending = { 0 };
	if (of_thread.at == of_thread.end && of_task.at == of_task.end)
		return ending;
	struct span task = mend_task(mending, core, &data);
	ending.signal = first_signal(of_thread, blocked, task);
	if (!ending.signal)
		ending.signal = first_signal(of_task, blocked, task);
	struct span action = find_action(task, ending.signal);
	ending.restarts = !action.at || protobuf_value(action, ACTION_FLAGS) & SA_RESTART;
	return ending;
}

/* ---- the memory ---- */

/* Where it is in the image of the task's pages; -1: it is not there. *pages is the number in that image's name. */
static off_t find_page(const struct mending *mending, pid_t task, uint64_t address, uint64_t length,
		       uint64_t *pages)
{
	autofree char *name = format_string("pagemap-%d.img", (int)task);
	autofree unsigned char *data = NULL;
	autoclose int fd = -1;
	struct span image, entry;
	uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE), at = 0;
	if (criu_image_read(mending->directory, name, O_RDONLY, &data, &image, &fd) < 0 ||
	    !criu_image_next(&image, &entry))
		return -1;
	*pages = protobuf_value(entry, PAGEMAP_HEAD_PAGES);
	while (criu_image_next(&image, &entry)) {
		uint64_t start = protobuf_value(entry, PAGEMAP_ADDRESS),
			 count = protobuf_value(entry, PAGEMAP_COUNT);
		if (count == 0)
			count = protobuf_value(entry, PAGEMAP_COUNT_OLD);
		if (count > INT32_MAX)
			return -1;
		if (!(protobuf_value(entry, PAGEMAP_FLAGS) & PAGEMAP_FLAG_PRESENT))
			continue;
		if (address >= start && address - start <= count * size - length)
			return (off_t)(at + address - start);
		at += count * size;
	}
	return -1;
}

struct image_memory {
	const struct mending *mending;
	pid_t task;
};

/* False when the image does not have that memory. */
static bool write_memory(void *context, uint64_t address, const void *data, size_t length)
{
	const struct image_memory *memory = context;
	uint64_t pages;
	off_t at = find_page(memory->mending, memory->task, address, length, &pages);
	if (at < 0)
		return false;
	autofree char *name = format_string("pages-%llu.img", (unsigned long long)pages);
	autoclose int fd = openat(memory->mending->directory, name, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && pwrite(fd, data, length, at) == (ssize_t)length;
}

/* ---- calls ---- */

struct registers {
	uint64_t value[REGISTERS];
	bool known[REGISTERS], changed[REGISTERS];
};

static void set(struct registers *registers, int number, uint64_t value)
{
	registers->value[number] = value;
	registers->changed[number] = true;
}

static bool read_registers(struct span core, struct registers *registers)
{
	struct span info = protobuf_part(core, CORE_THREAD_INFO),
		    list = protobuf_part(info, THREAD_INFO_REGISTERS);
	struct field field;
	if (!list.at || !protobuf_is_whole(core) || !protobuf_is_whole(info) || !protobuf_is_whole(list))
		return false;
	while (protobuf_next(&list, &field))
		if (field.number < REGISTERS && field.wire == 0) {
			registers->value[field.number] = field.value;
			registers->known[field.number] = true;
		}
	return registers->known[REGISTER_AX] && registers->known[REGISTER_ORIG_AX] &&
	       registers->known[REGISTER_IP] && registers->known[REGISTER_SP];
}

/*
 * A handler ends these calls (signal(7)): all of them, or only when it is set without SA_RESTART. Not those that have a mask of
 * their own, as an argument: the signal ends them all the same.
 */
static const struct {
	int64_t number;
	bool restarts; /* after a handler with SA_RESTART */
	int argument;  /* register: not with these bits in it */
	uint64_t bits;
} interrupted_calls[] = {
	{ .number = SYS_pause },
	{ .number = SYS_select },
	{ .number = SYS_clock_nanosleep },
	{ .number = SYS_msgrcv },
	{ .number = SYS_msgsnd },
	{ .number = SYS_ppoll, .argument = REGISTER_R10, .bits = UINT64_MAX },
	{ .number = SYS_pselect6, .argument = REGISTER_R9, .bits = UINT64_MAX },
	{ .number = SYS_read, .restarts = true },
	{ .number = SYS_readv, .restarts = true },
	{ .number = SYS_write, .restarts = true },
	{ .number = SYS_writev, .restarts = true },
	{ .number = SYS_open, .restarts = true },
	{ .number = SYS_openat, .restarts = true },
	{ .number = SYS_wait4, .restarts = true },
	{ .number = SYS_waitid, .restarts = true },
	{ .number = SYS_accept, .restarts = true },
	{ .number = SYS_accept4, .restarts = true },
	{ .number = SYS_connect, .restarts = true },
	{ .number = SYS_recvfrom, .restarts = true },
	{ .number = SYS_recvmsg, .restarts = true },
	{ .number = SYS_recvmmsg, .restarts = true },
	{ .number = SYS_sendto, .restarts = true },
	{ .number = SYS_sendmsg, .restarts = true },
	{ .number = SYS_sendmmsg, .restarts = true },
	{ .number = SYS_sendfile, .restarts = true },
	{ .number = SYS_splice, .restarts = true },
	{ .number = SYS_tee, .restarts = true },
	{ .number = SYS_vmsplice, .restarts = true },
	{ .number = SYS_flock, .restarts = true },
	{ .number = SYS_fcntl, .restarts = true },
	{ .number = SYS_ioctl, .restarts = true },
	{ .number = SYS_mq_timedreceive, .restarts = true },
	{ .number = SYS_mq_timedsend, .restarts = true },
	/* Only the waits for a value, with or without a mask of bits: those for a lock go on whatever the handler. */
	{ .number = SYS_futex,
	  .restarts = true,
	  .argument = REGISTER_SI,
	  .bits = (uint32_t)(FUTEX_CMD_MASK & ~FUTEX_WAIT_BITSET) },
};

/*
 * criu makes a call again even when a signal waits for the task that would end it: the handler would run before the call then,
 * and nothing end it. The processor has put the address behind the call into cx.
 */
static bool is_made_again_in_vain(const struct registers *registers, struct ending ending)
{
	if (!ending.signal || registers->value[REGISTER_AX] != registers->value[REGISTER_ORIG_AX] ||
	    registers->value[REGISTER_IP] + AGAIN_CALL_LENGTH != registers->value[REGISTER_CX])
		return false;
	for (size_t i = 0; i < array_length(interrupted_calls); i++)
		if (interrupted_calls[i].number == (int64_t)registers->value[REGISTER_ORIG_AX])
			return !(registers->value[interrupted_calls[i].argument] &
				 interrupted_calls[i].bits) &&
			       !(interrupted_calls[i].restarts && ending.restarts);
	return false;
}

static void put_registers(struct buffer *buffer, struct span list, const struct registers *registers)
{
	struct field field;
	while (protobuf_next(&list, &field))
		if (field.number < REGISTERS && registers->changed[field.number])
			protobuf_put_number(buffer, field.number, registers->value[field.number]);
		else
			protobuf_put_field(buffer, &field);
}

static void put_core(struct buffer *buffer, struct span core, const struct registers *registers)
{
	struct field field, inner;
	while (protobuf_next(&core, &field)) {
		if (field.number != CORE_THREAD_INFO) {
			protobuf_put_field(buffer, &field);
			continue;
		}
		struct buffer info = { 0 }, list = { 0 };
		while (protobuf_next(&field.bytes, &inner)) {
			if (inner.number != THREAD_INFO_REGISTERS) {
				protobuf_put_field(&info, &inner);
				continue;
			}
			put_registers(&list, inner.bytes, registers);
			protobuf_put_part(&info, THREAD_INFO_REGISTERS, &list);
		}
		protobuf_put_part(buffer, CORE_THREAD_INFO, &info);
	}
}

/* False when it is not. */
static bool make_again(const struct mending *mending, struct registers *registers)
{
	struct image_memory memory = { .mending = mending };
	const struct wait *wait = waits_find(mending->waits, mending->id);
	struct again again = {
		.number = (int64_t)registers->value[REGISTER_ORIG_AX],
		.ip = registers->value[REGISTER_IP],
		.sp = registers->value[REGISTER_SP],
	};
	for (int i = 0; i < CALL_ARGUMENTS; i++)
		again.arguments[i] = registers->value[argument_registers[i]];
	memory.task = wait ? wait->task : 0;
	if (!again_make(&again, wait, write_memory, &memory))
		return false;
	set(registers, REGISTER_IP, again.ip);
	set(registers, REGISTER_AX, (uint64_t)again.result);
	for (int i = 0; i < CALL_ARGUMENTS; i++)
		if (registers->value[argument_registers[i]] != again.arguments[i])
			set(registers, argument_registers[i], again.arguments[i]);
	return true;
}

bool mend_calls(const struct mending *mending, struct span core, struct buffer *mended)
{
	struct registers registers = { 0 };
	/* From user space there is no call to go back to: orig_ax is negative. */
	if (!read_registers(core, &registers) || (int64_t)registers.value[REGISTER_ORIG_AX] < 0 ||
	    registers.value[REGISTER_MODE] == MODE_32_BITS)
		return false;
	struct ending ending = find_ending(mending, core);
	if (is_made_again_in_vain(&registers, ending)) {
		set(&registers, REGISTER_IP, registers.value[REGISTER_CX]);
		set(&registers, REGISTER_AX, (uint64_t)-EINTR);
	} else if (ending.signal || (int64_t)registers.value[REGISTER_AX] != -EINTR ||
		   !make_again(mending, &registers)) {
		return false;
	}
	put_core(mended, core, &registers);
	return true;
}

#else

/* criu gets the registers of arm64 as the kernel has set them for the call to be made again. */
bool mend_calls(const struct mending *mending, struct span core, struct buffer *mended)
{
	(void)mending;
	(void)core;
	(void)mended;
	return false;
}

#endif
