/* What outlives a floatfs: the holder, the numbers of handles, who polls. The mount itself: tests/e2e/handover.sh. */
#include "fs/holder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/fuse_polls.h"
#include "fs/fuse_wire.h"
#include "fs/handles.h"
#include "fs/tree.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"

static char directory[64];
static uint32_t meanings[HOLDER_MEANINGS];
static struct holder_config config = {
	.state = directory, .mountpoint = "/nowhere", .log = "/dev/null", .seconds = 20, .meanings = meanings
};

static void set_up(void)
{
	log_open("unit", LOG_ERROR);
	strcpy(directory, "/tmp/floatfs-unit.XXXXXX");
	cr_assert(mkdtemp(directory));
	tree_describe_kinds(meanings);
}

static void tear_down(void)
{
	file_remove_tree(directory);
}

TestSuite(holder, .init = set_up, .fini = tear_down);

static struct holder *open_holder(void)
{
	struct holder *holder = NULL;
	struct error err = { 0 };
	cr_assert_eq(holder_open(&config, &holder, &err), 0, "%s", err.text);
	return holder;
}

static int connect_to(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/holder", directory);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	cr_assert_geq(fd, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* A floatfs that mounted, and died. */
static void leave_a_mount(const char *content, char id[17])
{
	struct error err = { 0 };
	struct holder *holder = open_holder();
	int device = memfd_create("device", MFD_CLOEXEC);
	cr_assert_eq(write(device, content, strlen(content)), (ssize_t)strlen(content));
	cr_assert_eq(holder_take_device(holder), -1);
	cr_assert(holder_is_there(holder));
	strcpy(id, holder_page(holder)->id);
	holder_page(holder)->last_handle = 7;
	cr_assert_eq(holder_give(holder, device, &err), 0, "%s", err.text);
	holder_tell_serving(holder);
	close(device);
	holder_close(holder);
}

Test(holder, keeps_what_a_floatfs_that_died_had)
{
	struct holder_message message;
	int fds[HOLDER_FDS];
	char id[17], text[16] = "";
	leave_a_mount("the device", id);
	int socket = connect_to();
	cr_assert_geq(socket, 0);
	cr_assert_eq(holder_receive(socket, &message, fds), 1);
	cr_expect_eq(message.word, (uint32_t)HOLDER_HELD);
	cr_expect_eq(pread(fds[HOLDER_DEVICE], text, sizeof(text) - 1, 0), 10);
	cr_expect_str_eq(text, "the device");
	struct holder_page *page = holder_map(fds[HOLDER_PAGE]);
	cr_assert_not_null(page);
	cr_expect_str_eq(page->id, id);
	cr_expect_eq(page->last_handle, 7);
	cr_expect_str_eq(page->mountpoint, "/nowhere");

	message.word = HOLDER_END;
	cr_assert_eq(holder_send(socket, &message, NULL), 0);
	cr_expect_eq(holder_receive(socket, &message, fds), 0, "it does not end");
	autofree char *path = format_string("%s/holder", directory);
	cr_expect(access(path, F_OK) < 0 && errno == ENOENT, "its socket is left");
}

Test(holder, is_no_use_without_its_mount)
{
	char id[17];
	leave_a_mount("the device", id);
	struct holder *holder = open_holder();
	cr_expect_eq(holder_take_device(holder), -1);
	cr_expect_str_neq(holder_page(holder)->id, id);
	cr_expect(holder_is_there(holder), "and there is no new one");
	holder_end(holder);
	cr_expect_not(holder_is_there(holder));
	holder_close(holder);
}

static bool ends_within(int ms)
{
	int64_t deadline = clock_monotonic_ms() + ms;
	for (int fd; (fd = connect_to()) >= 0; clock_sleep_ms(20)) {
		close(fd);
		if (clock_monotonic_ms() > deadline)
			return false;
	}
	return true;
}

Test(holder, gives_up_when_nobody_comes)
{
	char id[17];
	config.seconds = 1;
	int64_t began = clock_monotonic_ms();
	leave_a_mount("the device", id);
	/* Who comes and goes is no successor. */
	cr_expect(ends_within(5000));
	cr_expect_geq(clock_monotonic_ms() - began, 1000);
}

Test(holder, ends_with_a_floatfs_that_did_not_mount)
{
	struct holder *holder = open_holder();
	holder_close(holder);
	cr_expect(ends_within(5000));
}

Test(holder, can_be_done_without)
{
	struct error err = { 0 };
	config.seconds = 0;
	struct holder *holder = open_holder();
	cr_expect_not(holder_is_there(holder));
	cr_expect_not_null(holder_page(holder));
	cr_expect_eq(holder_give(holder, 0, &err), 0);
	holder_tell_serving(holder);
	holder_end(holder);
	holder_close(holder);
}

Test(wire, knows_kernels_that_send_again)
{
	static struct holder_page page;
	struct fuse_init_in init = { .major = 7, .minor = 40, .flags = 1U << 30, .flags2 = 1U << 7 };
	char *at = page.init + sizeof(struct fuse_in_header);
	page.init_length = sizeof(struct fuse_in_header) + sizeof(init);
	memcpy(at, &init, sizeof(init));
	cr_expect(fuse_wire_can_resend(&page));
	init.flags2 = 0;
	memcpy(at, &init, sizeof(init));
	cr_expect_not(fuse_wire_can_resend(&page));
	init.flags2 = 1U << 7;
	init.flags = 0; /* then flags2 says nothing */
	memcpy(at, &init, sizeof(init));
	cr_expect_not(fuse_wire_can_resend(&page));
	init.flags = 1U << 30;
	memcpy(at, &init, sizeof(init));
	page.init_length = sizeof(struct fuse_in_header) + 16; /* an old kernel's */
	cr_expect_not(fuse_wire_can_resend(&page));
}

Test(handles, numbers_are_given_once)
{
	_Atomic uint64_t counter = 41;
	uint64_t first = handles_number(&counter), mine = handles_number_of(&counter, 1000),
		 roots = handles_number_of(&counter, 0), last = handles_number(&counter);
	cr_expect_eq(first, 42);
	cr_expect_eq(last, 45);
	cr_expect_neq(mine, roots);
	cr_expect_eq(handles_uid(mine), 1000);
	cr_expect_eq(handles_uid(roots), 0);
	cr_expect_eq(handles_uid(last), -1);
	cr_expect_eq(handles_uid(handles_number_of(&counter, UINT32_MAX)), (int64_t)UINT32_MAX);
}

static int released;

static void release(void *what)
{
	(void)what;
	released++;
}

Test(handles, one_stands_under_a_number)
{
	struct handles *handles = handles_new();
	int a, b;
	cr_expect_null(handles_find(handles, 1));
	cr_expect_null(handles_take(handles, 1));
	cr_expect_eq(handles_put(handles, 1, &a), &a);
	cr_expect_eq(handles_put(handles, 1, &b), &a, "the first stays");
	/* In the same bucket. */
	cr_expect_eq(handles_put(handles, 1 + 4096, &b), &b);
	cr_expect_eq(handles_find(handles, 1), &a);
	cr_expect_eq(handles_take(handles, 1), &a);
	cr_expect_null(handles_find(handles, 1));
	cr_expect_eq(handles_find(handles, 1 + 4096), &b);
	handles_free(handles, release);
	cr_expect_eq(released, 1);
}

static struct holder_page polled;
static uint64_t visited[8];
static size_t visits;

static void visit(void *context, uint64_t number)
{
	(void)context;
	cr_assert_lt(visits, 8);
	visited[visits++] = number;
}

Test(polls, are_told_to_a_successor_once)
{
	struct fuse_polls *polls = fuse_polls_new(&polled);
	uint32_t a = fuse_polls_add(polls, 100), b = fuse_polls_add(polls, 200),
		 c = fuse_polls_add(polls, 300);
	cr_expect(a && b && c);
	fuse_polls_drop(polls, b);
	cr_expect_eq(fuse_polls_add(polls, 400), b, "a place is used again");
	fuse_polls_drop(polls, c);
	fuse_polls_drop(polls, 0);
	fuse_polls_free(polls);

	fuse_polls_take(&polled, visit, NULL);
	cr_assert_eq(visits, 2);
	cr_expect_eq(visited[0], 100);
	cr_expect_eq(visited[1], 400);
	fuse_polls_take(&polled, visit, NULL);
	cr_expect_eq(visits, 2);
}

Test(polls, beyond_the_page_are_refused)
{
	polled.polls_end = HOLDER_POLLS;
	struct fuse_polls *polls = fuse_polls_new(&polled);
	cr_expect_eq(fuse_polls_add(polls, 1), 0);
	fuse_polls_free(polls);
}

Test(tree, kinds_mean_what_they_mean)
{
	size_t count;
	const struct tree_entry *table = tree_table(&count);
	uint32_t described[TREE_MEANINGS];
	tree_describe_kinds(described);
	for (size_t i = 0; i < count; i++)
		cr_expect_neq(described[table[i].kind], 0);
	for (size_t i = TREE_KINDS; i < TREE_MEANINGS; i++)
		cr_expect_eq(described[i], 0);
	/* status of a job and of a host have the same name. */
	cr_expect_neq(described[TREE_STATUS], described[TREE_HOST_STATUS]);
	cr_expect_neq(described[TREE_OUTPUT], described[TREE_STDOUT]);
}
