/* What is made of a thread's registers in criu's image: agent/mend.h. The numbers are those of images/core.proto. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/mend.h"
#include "agent/protobuf.h"
#include "lib/cleanup.h"
#include "lib/file.h"

#ifdef __x86_64__

enum { SIGNALS = 64, BEHIND = 0x401002, CALL = 0x401000, ADDRESS = 0x7ffd00001000 };

struct task {
	uint64_t number, ax, ip, di, si, dx, r10, blocked;
	int pending;             /* signal; 0: none */
	uint64_t handler, flags; /* of all signals */
};

static char directory[] = "/tmp/float-mend-XXXXXX";

static void make(void)
{
	cr_assert_not_null(mkdtemp(directory));
}

static void clean(void)
{
	file_remove_tree(directory);
}

TestSuite(agent_mend, .init = make, .fini = clean);

static void put_bytes(struct buffer *buffer, unsigned number, const void *data, size_t length)
{
	struct buffer bytes = { 0 };
	protobuf_put(&bytes, data, length);
	protobuf_put_part(buffer, number, &bytes);
}

static void put_task(struct buffer *core, const struct task *task)
{
	struct buffer part = { 0 }, queue = { 0 }, signal = { 0 };
	unsigned char info[128] = { 0 };
	protobuf_put_number(&part, 1, 1);
	protobuf_put_number(&part, 5, task->blocked);
	if (task->pending) {
		memcpy(info, &task->pending, sizeof(task->pending));
		put_bytes(&signal, 1, info, sizeof(info));
		protobuf_put_part(&queue, 1, &signal);
		protobuf_put_part(&part, 10, &queue);
	}
	for (int number = 1; number <= SIGNALS; number++) {
		struct buffer action = { 0 };
		if (number == SIGKILL || number == SIGSTOP)
			continue;
		protobuf_put_number(&action, 1, task->handler);
		protobuf_put_number(&action, 2, task->flags);
		protobuf_put_part(&part, 15, &action);
	}
	protobuf_put_part(core, 3, &part);
}

static void put_registers(struct buffer *core, const struct task *task)
{
	const struct {
		unsigned number;
		uint64_t value;
	} registers[] = { { 8, task->r10 },     { 9, 0 },         { 10, 0 },        { 11, task->ax },
			  { 12, BEHIND },       { 13, task->dx }, { 14, task->si }, { 15, task->di },
			  { 16, task->number }, { 17, task->ip }, { 20, ADDRESS },  { 28, 1 } };
	struct buffer list = { 0 }, info = { 0 };
	for (size_t i = 0; i < array_length(registers); i++)
		protobuf_put_number(&list, registers[i].number, registers[i].value);
	protobuf_put_number(&info, 1, 0);
	protobuf_put_part(&info, 2, &list);
	put_bytes(&info, 3, "floating point", 14);
	protobuf_put_part(core, 2, &info);
}

/* Mends an image with one task; its registers are in *list, in memory that lives until the process ends. */
static void mend(const struct task *task, struct span *list)
{
	struct buffer core = { 0 }, image = { 0 };
	struct error err = { 0 };
	char *data;
	size_t size;
	uint32_t length;
	autofree char *path = format_string("%s/core-7.img", directory);
	protobuf_put_number(&core, 1, 1);
	put_registers(&core, task);
	put_task(&core, task);
	length = (uint32_t)core.length;
	protobuf_put(&image, "two magics", 8);
	protobuf_put(&image, &length, sizeof(length));
	protobuf_put(&image, core.data, core.length);
	cr_assert_eq(file_write_durable(path, image.data, image.length, 0600), 0);
	cr_assert_eq(mend_image(directory, NULL, &err), 0, "%s", err.text);
	cr_assert_eq(file_read(path, 65536, &data, &size), 0);
	memcpy(&length, data + 8, sizeof(length));
	cr_assert_eq(length, size - 12);
	struct span all = { (unsigned char *)data + 12, (unsigned char *)data + size };
	struct span info = protobuf_part(all, 2), rest = protobuf_part(info, 3);
	cr_assert(protobuf_is_whole(all) && protobuf_part(all, 3).at);
	cr_assert(rest.end - rest.at == 14 && memcmp(rest.at, "floating point", 14) == 0);
	*list = protobuf_part(info, 2);
	free(core.data);
	free(image.data);
}

static void expect(const struct task *task, uint64_t ip, int64_t ax)
{
	struct span list;
	mend(task, &list);
	cr_expect_eq(protobuf_value(list, 17), ip);
	cr_expect_eq((int64_t)protobuf_value(list, 11), ax);
	cr_expect_eq(protobuf_value(list, 20), ADDRESS);
}

static struct task interrupted(long number)
{
	return (struct task){ .number = (uint64_t)number, .ax = (uint64_t)-EINTR, .ip = BEHIND };
}

Test(agent_mend, calls_are_made_again)
{
	static const long numbers[] = {
		SYS_poll, SYS_epoll_wait, SYS_futex, SYS_semop, SYS_recvfrom, SYS_read
	};
	for (size_t i = 0; i < array_length(numbers); i++) {
		struct task task = interrupted(numbers[i]);
		expect(&task, CALL, numbers[i]);
	}
}

Test(agent_mend, others_end_as_they_do)
{
	struct task write = interrupted(SYS_write), unknown = interrupted(SYS_restart_syscall),
		    done = interrupted(SYS_poll), none = interrupted(-1);
	expect(&write, BEHIND, -EINTR);
	expect(&unknown, BEHIND, -EINTR);
	expect(&none, BEHIND, -EINTR);
	done.ax = 1;
	expect(&done, BEHIND, 1);
}

Test(agent_mend, a_signal_ends_a_call)
{
	struct task task = interrupted(SYS_poll);
	task.pending = SIGUSR1;
	expect(&task, BEHIND, -EINTR);
	task.pending = SIGCHLD;
	task.handler = ADDRESS;
	expect(&task, BEHIND, -EINTR);
}

Test(agent_mend, a_signal_that_nobody_sees_does_not)
{
	struct task task = interrupted(SYS_poll);
	task.pending = SIGUSR1;
	task.blocked = 1ULL << (SIGUSR1 - 1);
	expect(&task, CALL, SYS_poll);
	task.blocked = 0;
	task.handler = (uintptr_t)SIG_IGN;
	expect(&task, CALL, SYS_poll);
	static const int harmless[] = { SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGTSTP, SIGSTOP };
	task.handler = (uintptr_t)SIG_DFL;
	for (size_t i = 0; i < array_length(harmless); i++) {
		task.pending = harmless[i];
		expect(&task, CALL, SYS_poll);
	}
}

Test(agent_mend, pause_ends_by_a_signal)
{
	struct task task = { .number = SYS_pause, .ax = SYS_pause, .ip = CALL, .handler = ADDRESS };
	expect(&task, CALL, SYS_pause);
	task.pending = SIGALRM;
	expect(&task, BEHIND, -EINTR);
	/* As many as its number are ready. */
	task.number = task.ax = SYS_select;
	task.ip = BEHIND;
	expect(&task, BEHIND, SYS_select);
}

Test(agent_mend, a_handler_without_restart_ends_a_read)
{
	struct task task = { .number = SYS_read, .ax = SYS_read, .ip = CALL, .handler = ADDRESS };
	task.pending = SIGUSR1;
	expect(&task, BEHIND, -EINTR);
	task.flags = SA_RESTART;
	expect(&task, CALL, SYS_read);
	task.flags = 0;
	task.number = task.ax = SYS_futex;
	task.si = FUTEX_WAIT_PRIVATE;
	expect(&task, BEHIND, -EINTR);
	task.si = FUTEX_LOCK_PI_PRIVATE;
	expect(&task, CALL, SYS_futex);
	task.number = task.ax = SYS_ppoll;
	expect(&task, BEHIND, -EINTR);
	task.r10 = ADDRESS;
	expect(&task, CALL, SYS_ppoll);
}

Test(agent_mend, a_sleep_goes_on_with_its_rest)
{
	struct task task = interrupted(SYS_nanosleep);
	struct span list;
	/* A short number becomes a long one. */
	task.di = CALL;
	task.si = ADDRESS;
	mend(&task, &list);
	cr_expect_eq(protobuf_value(list, 15), ADDRESS);
	cr_expect_eq(protobuf_value(list, 17), CALL);
	task.si = 0;
	mend(&task, &list);
	cr_expect_eq(protobuf_value(list, 15), CALL);
}

#endif
