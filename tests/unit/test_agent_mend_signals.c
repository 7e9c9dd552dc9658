/* Signals that come while a job is dumped: agent/mend.h. The numbers are those of images/core.proto and timer.proto. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/dump_shared.h"
#include "agent/mend.h"
#include "agent/protobuf.h"
#include "agent/waits.h"
#include "lib/cleanup.h"
#include "lib/file.h"

enum { TASK = 7, THREAD = 8 };

static char directory[] = "/tmp/float-mend-signals-XXXXXX";
static struct waits *waits;
static struct dump_shared *told;

static void make(void)
{
	cr_assert_not_null(mkdtemp(directory));
	waits = waits_new();
	cr_assert_not_null(waits);
	/* As criu's dump does, into which the keeper's descriptor is inherited. */
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED, waits_shared_fd(waits), 0);
	cr_assert_neq(told, MAP_FAILED);
}

static void clean(void)
{
	munmap(told, sizeof(*told));
	waits_free(waits);
	file_remove_tree(directory);
}

TestSuite(agent_mend_signals, .init = make, .fini = clean);

static void put_record(struct buffer *image, struct buffer *message)
{
	uint32_t length = (uint32_t)message->length;
	if (image->length == 0)
		protobuf_put(image, "two magics", 8);
	protobuf_put(image, &length, sizeof(length));
	protobuf_put(image, message->data, message->length);
	free(message->data);
}

static void write_image(const char *name, struct buffer *image)
{
	autofree char *path = format_string("%s/%s", directory, name);
	cr_assert_eq(file_write_durable(path, image->data, image->length, 0600), 0);
	free(image->data);
}

static void put_signal(struct buffer *queue, int number)
{
	struct buffer bytes = { 0 }, signal = { 0 };
	siginfo_t info = { .si_signo = number };
	protobuf_put(&bytes, &info, sizeof(info));
	protobuf_put_part(&signal, 1, &bytes);
	protobuf_put_part(queue, 1, &signal);
}

/* With so much of its alarm left. */
static void write_task(uint64_t left_s)
{
	struct buffer core = { 0 }, part = { 0 }, timers = { 0 }, image = { 0 }, queue = { 0 };
	protobuf_put_number(&core, 1, 1);
	for (unsigned kind = 1; kind <= 3; kind++) {
		struct buffer timer = { 0 };
		for (unsigned field = 1; field <= 4; field++)
			protobuf_put_number(&timer, field, kind == 1 && field == 3 ? left_s : 0);
		protobuf_put_part(&timers, kind, &timer);
	}
	protobuf_put_part(&part, 7, &timers);
	put_signal(&queue, SIGUSR1);
	protobuf_put_part(&part, 10, &queue);
	protobuf_put_part(&core, 3, &part);
	put_record(&image, &core);
	write_image("core-7.img", &image);
}

/* The task has two. */
static void write_thread(void)
{
	struct buffer tree = { 0 }, image = { 0 }, core = { 0 }, part = { 0 }, threads = { 0 };
	protobuf_put_number(&tree, 1, TASK);
	protobuf_put_number(&tree, 5, TASK);
	protobuf_put_number(&tree, 5, THREAD);
	put_record(&threads, &tree);
	write_image("pstree.img", &threads);
	protobuf_put_number(&core, 1, 1);
	protobuf_put_number(&part, 6, 0);
	protobuf_put_part(&core, 5, &part);
	put_record(&image, &core);
	write_image("core-8.img", &image);
}

static void tell(pid_t thread, bool shared, int number, int code)
{
	struct dump_late late = { .thread = thread, .shared = shared };
	late.info.si_signo = number;
	late.info.si_code = code;
	told->late[told->late_count++] = late;
}

/* The numbers of the signals that wait, in their order. */
static void expect(const char *name, unsigned part, unsigned queue, const int *numbers, int count)
{
	struct error err = { 0 };
	autofree char *data = NULL, *path = format_string("%s/%s", directory, name);
	size_t size;
	struct field field;
	int i = 0;
	cr_assert_eq(mend_image(directory, waits, &err), 0, "%s", err.text);
	cr_assert_eq(file_read(path, 65536, &data, &size), 0);
	struct span core = { (unsigned char *)data + 12, (unsigned char *)data + size };
	cr_assert(protobuf_is_whole(core));
	for (struct span list = protobuf_part(protobuf_part(core, part), queue); protobuf_next(&list, &field);
	     i++) {
		int number;
		memcpy(&number, protobuf_part(field.bytes, 1).at, sizeof(number));
		cr_assert(i < count);
		cr_expect_eq(number, numbers[i]);
	}
	cr_expect_eq(i, count);
}

Test(agent_mend_signals, late_ones_stand_behind_the_others)
{
	write_task(0);
	tell(TASK, true, SIGTERM, SI_USER);
	tell(TASK + 2, true, SIGHUP, SI_USER);
	tell(TASK, true, SIGALRM, SI_KERNEL);
	expect("core-7.img", 3, 10, (int[]){ SIGUSR1, SIGTERM, SIGALRM }, 3);
}

Test(agent_mend_signals, that_of_a_timer_which_is_to_end_again_comes_once)
{
	write_task(5);
	tell(TASK, true, SIGALRM, SI_KERNEL);
	expect("core-7.img", 3, 10, (int[]){ SIGUSR1 }, 1);
}

Test(agent_mend_signals, a_thread_has_its_own)
{
	write_task(5);
	write_thread();
	tell(THREAD, false, SIGALRM, SI_KERNEL);
	tell(THREAD, false, SIGUSR2, SI_TKILL);
	/* The timers are the task's. */
	expect("core-8.img", 5, 9, (int[]){ SIGUSR2 }, 1);
}
