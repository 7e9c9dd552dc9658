#include "fs/fuse_wire.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

/* As linux/fuse.h has them since 6.9; Debian 12's is older. */
enum { NOTIFY_RESEND = 7 };
#define UNIQUE_RESEND (1ULL << 63)
#define HAS_RESEND    (1U << (39 - 32)) /* of flags2 */
/*
 * A file that is read by direct_io may be mapped shared (Linux 6.6, include/uapi/linux/fuse.h): live files are read so, and
 * Python's mmap maps so. The kernel drops the pages of a file when it is mapped, and when its size turns out to be another. A
 * kernel that does not know the flag does not look at it.
 */
#define DIRECT_IO_ALLOW_MMAP (1U << (36 - 32)) /* of flags2 */
/*
 * Linux 6.9. In FUSE_INIT's answer the word after flags2 is max_stack_depth: the files that are read so are of a file system that
 * stands on no other. In FUSE_OPEN's, the last word is backing_id.
 */
#define PASSTHROUGH      (1U << (37 - 32)) /* of flags2 */
#define OPEN_PASSTHROUGH (1U << 7)

enum {
	INIT_BUFFER = 64 << 10, /* the kernel reads into no less than 8 KiB */
	ROOM = 256 << 10,       /* what a write of a setting brings, mostly */
};

static _Thread_local struct {
	uint64_t unique;
	uint64_t poll;
	bool agreeing; /* what is answered is FUSE_INIT */
	bool mute;     /* the answer was given long ago */
	uint32_t backing;
} current;

/*
 * Where a thread reads requests. The kernel answers a request with EIO when it cannot copy it to us (Linux, fs/fuse/dev.c,
 * fuse_dev_do_read), as when we are being killed and a page has to be made ready first: one that was never used, or one
 * that a fork has made copy-on-write. These are there, and no fork has them.
 */
struct room {
	void *at;
	size_t size;
};

static pthread_once_t room_once = PTHREAD_ONCE_INIT;
static pthread_key_t room_key;

static void free_room(void *context)
{
	struct room *room = context;
	munmap(room->at, room->size);
	free(room);
}

static void make_room_key(void)
{
	if (pthread_key_create(&room_key, free_room) != 0)
		abort();
}

/* NULL: there is no memory for it. */
static void *find_room(size_t size)
{
	pthread_once(&room_once, make_room_key);
	struct room *room = pthread_getspecific(room_key);
	if (room && room->size >= size)
		return room->at;
	if (room)
		free_room(room);
	pthread_setspecific(room_key, NULL);
	room = malloc(sizeof(*room));
	if (!room)
		return NULL;
	*room = (struct room){ .size = size };
	room->at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room->at == MAP_FAILED || pthread_setspecific(room_key, room) != 0) {
		free(room);
		return NULL;
	}
	if (madvise(room->at, size, MADV_DONTFORK) < 0 ||
	    madvise(room->at, size < ROOM ? size : ROOM, MADV_POPULATE_WRITE) < 0)
		log_debug("what is read from the kernel is not kept at hand: %s", strerror(errno));
	return room->at;
}

/* As read(2), by way of the thread's room. */
static ssize_t read_request(int fd, void *buffer, size_t size)
{
	void *room = find_room(size);
	ssize_t got = read(fd, room ? room : buffer, size);
	if (room && got > 0)
		memcpy(buffer, room, (size_t)got);
	return got;
}

static ssize_t wire_read(int fd, void *buffer, size_t size, void *context)
{
	(void)context;
	ssize_t got = read_request(fd, buffer, size);
	struct fuse_in_header header;
	struct fuse_poll_in poll;
	if (got < (ssize_t)sizeof(header))
		return got;
	memcpy(&header, buffer, sizeof(header));
	current.unique = header.unique;
	if (fuse_wire_is_again())
		log_debug("request %llu (opcode %u, node %llx) comes again",
			  (unsigned long long)fuse_wire_unique(), header.opcode,
			  (unsigned long long)header.nodeid);
	if (header.opcode == FUSE_POLL && got >= (ssize_t)(sizeof(header) + sizeof(poll))) {
		memcpy(&poll, (char *)buffer + sizeof(header), sizeof(poll));
		current.poll = poll.kh;
	}
	return got;
}

static ssize_t wire_write(int fd, struct iovec *parts, int count, void *context)
{
	(void)context;
	ssize_t length = 0;
	if (current.agreeing && count == 2 && parts[1].iov_len == sizeof(struct fuse_init_out)) {
		struct fuse_init_out *init = parts[1].iov_base;
		init->flags |= FUSE_INIT_EXT;
		init->flags2 |= DIRECT_IO_ALLOW_MMAP | PASSTHROUGH;
		memcpy((char *)&init->flags2 + sizeof(init->flags2), &(uint32_t){ 1 }, sizeof(uint32_t));
	}
	if (current.backing && count == 2 && parts[1].iov_len == sizeof(struct fuse_open_out)) {
		struct fuse_open_out *open = parts[1].iov_base;
		open->open_flags = OPEN_PASSTHROUGH | (open->open_flags & FOPEN_NOFLUSH);
		memcpy((char *)open + offsetof(struct fuse_open_out, open_flags) + sizeof(open->open_flags),
		       &current.backing, sizeof(current.backing));
	}
	current.backing = 0;
	if (!current.mute)
		return writev(fd, parts, count);
	for (int i = 0; i < count; i++)
		length += (ssize_t)parts[i].iov_len;
	return length;
}

int fuse_wire_attach(struct fuse_session *session, int device, struct error *err)
{
	static const struct fuse_custom_io io = { .writev = wire_write, .read = wire_read };
	int status = fuse_session_custom_io(session, &io, device);
	return status == 0 ? 0 : error_set(err, EIO, "libfuse does not serve /dev/fuse");
}

int fuse_wire_agree(struct fuse_session *session, struct holder_page *page, struct error *err)
{
	autofree char *buffer = malloc(INIT_BUFFER);
	if (!buffer)
		return error_set(err, ENOMEM, "out of memory");
	ssize_t got;
	while ((got = wire_read(fuse_session_fd(session), buffer, INIT_BUFFER, NULL)) < 0 && errno == EINTR)
		;
	struct fuse_buf request = { .mem = buffer, .size = (size_t)got };
	const struct fuse_in_header *header = request.mem;
	if (got < (ssize_t)(sizeof(*header) + sizeof(uint32_t)) || got > HOLDER_INIT_MAX ||
	    header->opcode != FUSE_INIT)
		return error_sys(err, got < 0 ? errno : EPROTO, "the kernel did not say how it speaks FUSE");
	current.agreeing = true;
	fuse_session_process_buf(session, &request);
	current.agreeing = false;
	if (fuse_session_exited(session))
		return error_set(err, EPROTO, "libfuse and the kernel do not agree");
	memcpy(page->init, buffer, (size_t)got);
	page->init_length = (uint32_t)got;
	return 0;
}

void fuse_wire_replay(struct fuse_session *session, struct holder_page *page)
{
	struct fuse_buf request = { .mem = page->init, .size = page->init_length };
	current.mute = true;
	fuse_session_process_buf(session, &request);
	current.mute = false;
}

static bool is_offered(const struct holder_page *page, uint32_t flag)
{
	struct fuse_init_in init = { 0 };
	size_t length = page->init_length - sizeof(struct fuse_in_header);
	memcpy(&init, page->init + sizeof(struct fuse_in_header),
	       length < sizeof(init) ? length : sizeof(init));
	return init.flags & FUSE_INIT_EXT && init.flags2 & flag;
}

bool fuse_wire_can_resend(const struct holder_page *page)
{
	return is_offered(page, HAS_RESEND);
}

bool fuse_wire_can_pass(const struct holder_page *page)
{
	return is_offered(page, PASSTHROUGH);
}

void fuse_wire_pass(uint32_t backing)
{
	current.backing = backing;
}

static int notify(int device, int code, const void *data, size_t size)
{
	struct fuse_out_header header = { .len = (uint32_t)(sizeof(header) + size), .error = code };
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)data, size } };
	return writev(device, parts, size ? 2 : 1) < 0 ? -errno : 0;
}

int fuse_wire_resend(int device)
{
	return notify(device, NOTIFY_RESEND, NULL, 0);
}

void fuse_wire_wake(int device, uint64_t poll)
{
	struct fuse_notify_poll_wakeup_out out = { .kh = poll };
	(void)notify(device, FUSE_NOTIFY_POLL, &out, sizeof(out));
}

bool fuse_wire_is_again(void)
{
	return current.unique & UNIQUE_RESEND;
}

uint64_t fuse_wire_unique(void)
{
	return current.unique & ~UNIQUE_RESEND;
}

uint64_t fuse_wire_poll(void)
{
	return current.poll;
}
