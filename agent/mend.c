/* criu's images are protobuf messages: images/core.proto, core-x86.proto, fdinfo.proto and timerfd.proto of its source. */
#include "agent/mend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"

enum {
	IMAGE_LIMIT = 256 << 20,
	IMAGE_HEADER = 8, /* two magic numbers; records of a length and a message follow */
	VARINT_MAX = 10,

	CORE_THREAD_INFO = 2,
	CORE_TASK = 3,
	CORE_THREAD = 5,
	THREAD_INFO_REGISTERS = 2,
	TASK_BLOCKED = 5,
	TASK_SIGNALS = 10,
	THREAD_BLOCKED = 6,
	THREAD_SIGNALS = 9,
	SIGNALS_INFO = 1,

	FILE_TYPE = 1,
	FILE_TYPE_TIMERFD = 17,
	FILE_TIMERFD = 12,
	TIMERFD_SETTIME_FLAGS = 6,
	TIMERFD_SECONDS = 7,
	TIMERFD_NANOSECONDS = 8,
	TIMERFD_EVERY_SECONDS = 9,
	TIMERFD_EVERY_NANOSECONDS = 10,
};

/* The registers by their field numbers. */
enum {
	REGISTER_R10 = 8,
	REGISTER_AX = 11,
	REGISTER_DX = 13,
	REGISTER_SI = 14,
	REGISTER_DI = 15,
	REGISTER_ORIG_AX = 16,
	REGISTER_IP = 17,
	REGISTER_MODE = 28,
	REGISTERS = 29,
	MODE_32_BITS = 2,
};

struct span {
	unsigned char *at, *end;
};

struct field {
	unsigned number, wire;
	unsigned char *start;
	uint64_t value;    /* of a varint */
	struct span bytes; /* of the value as it is encoded; without the length of a message */
};

/* ---- reading ---- */

static bool read_varint(struct span *span, uint64_t *value)
{
	*value = 0;
	for (int shift = 0; span->at < span->end && shift < 7 * VARINT_MAX; shift += 7) {
		unsigned char byte = *span->at++;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* False at the end; at is NULL then if it came too early. */
static bool next_field(struct span *message, struct field *field)
{
	uint64_t key, length = 0;
	if (!message->at || message->at == message->end)
		return false;
	*field = (struct field){ .start = message->at };
	bool good = read_varint(message, &key);
	field->number = (unsigned)(key >> 3);
	field->wire = key & 7;
	field->bytes.at = message->at;
	if (good && field->wire == 0)
		good = read_varint(message, &field->value);
	else if (good && field->wire == 2)
		good = read_varint(message, &length);
	else
		length = field->wire == 1 ? 8 : field->wire == 5 ? 4 : UINT64_MAX;
	if (!good || length > (uint64_t)(message->end - message->at)) {
		message->at = NULL;
		return false;
	}
	if (field->wire != 0)
		field->bytes.at = message->at;
	message->at += length;
	field->bytes.end = message->at;
	return true;
}

static bool find_field(struct span message, unsigned number, struct field *field)
{
	while (next_field(&message, field))
		if (field->number == number)
			return true;
	return false;
}

/* An empty message where there is none. */
static struct span part_of(struct span message, unsigned number)
{
	struct field field;
	return find_field(message, number, &field) ? field.bytes : (struct span){ 0 };
}

static uint64_t value_of(struct span message, unsigned number)
{
	struct field field;
	return find_field(message, number, &field) ? field.value : 0;
}

/* In as many bytes as it has: protobuf does not ask for the shortest form. */
static bool replace_varint(const struct field *field, uint64_t value)
{
	size_t length = (size_t)(field->bytes.end - field->bytes.at);
	if (length < VARINT_MAX && value >> (7 * length))
		return false;
	for (size_t i = 0; i < length; i++, value >>= 7)
		field->bytes.at[i] = (unsigned char)((value & 0x7f) | (i + 1 < length ? 0x80 : 0));
	return true;
}

/* ---- interrupted calls ---- */

/* Would a signal be delivered as soon as the task runs? Then the call may well end by it. */
static bool has_signal(struct span queue, uint64_t blocked)
{
	struct field field;
	while (next_field(&queue, &field)) {
		int number = 0;
		struct span info = part_of(field.bytes, SIGNALS_INFO);
		if ((size_t)(info.end - info.at) >= sizeof(number))
			memcpy(&number, info.at, sizeof(number));
		if (number < 1 || number > 64 || !(blocked >> (number - 1) & 1))
			return true;
	}
	return false;
}

#ifdef __x86_64__
/*
 * nanosleep and clock_nanosleep have put what is left where the caller wants it. If that is the very place of the time to
 * sleep, as in sleep(3), the call made again sleeps for what is left; a caller who wants it elsewhere looks for EINTR.
 */
static bool can_sleep_again(const struct field *registers, int time, int rest)
{
	return registers[rest].value == 0 || registers[rest].value == registers[time].value;
}

static bool is_made_again(const struct field *registers)
{
	switch (registers[REGISTER_ORIG_AX].value) {
	case SYS_nanosleep:
		return can_sleep_again(registers, REGISTER_DI, REGISTER_SI);
	case SYS_clock_nanosleep:
		return can_sleep_again(registers, REGISTER_DX, REGISTER_R10);
	case SYS_poll:
	case SYS_futex:
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_msgrcv:
	case SYS_msgsnd:
	case SYS_rt_sigtimedwait:
		return true;
	default:
		return false;
	}
}

static bool mend_core(struct span core)
{
	enum { LENGTH_OF_SYSCALL = 2 };
	struct field registers[REGISTERS] = { 0 }, field;
	struct span info = part_of(core, CORE_THREAD_INFO), task = part_of(core, CORE_TASK),
		    thread = part_of(core, CORE_THREAD), list = part_of(info, THREAD_INFO_REGISTERS);
	while (next_field(&list, &field))
		if (field.number < REGISTERS)
			registers[field.number] = field;
	/* From user space there is no call to go back to: orig_ax is negative. */
	if ((int64_t)registers[REGISTER_AX].value != -EINTR ||
	    (int64_t)registers[REGISTER_ORIG_AX].value < 0 ||
	    registers[REGISTER_MODE].value == MODE_32_BITS || !is_made_again(registers))
		return false;
	uint64_t blocked = value_of(task.at ? task : thread, task.at ? TASK_BLOCKED : THREAD_BLOCKED);
	if (has_signal(part_of(task, TASK_SIGNALS), blocked) ||
	    has_signal(part_of(thread, THREAD_SIGNALS), blocked))
		return false;
	return replace_varint(&registers[REGISTER_IP], registers[REGISTER_IP].value - LENGTH_OF_SYSCALL) &&
	       replace_varint(&registers[REGISTER_AX], registers[REGISTER_ORIG_AX].value);
}
#else
/* criu gets the registers of arm64 as the kernel has set them for the call to be made again. */
static bool mend_core(struct span core)
{
	(void)core;
	return false;
}
#endif

/* ---- timerfds ---- */

struct buffer {
	unsigned char *data;
	size_t length, room;
};

static void put(struct buffer *buffer, const void *data, size_t length)
{
	if (length > buffer->room - buffer->length) {
		buffer->room = 2 * (buffer->length + length);
		buffer->data = realloc(buffer->data, buffer->room);
		if (!buffer->data)
			abort();
	}
	memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
}

static void put_varint(struct buffer *buffer, uint64_t value)
{
	do {
		unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		put(buffer, &byte, 1);
		value >>= 7;
	} while (value);
}

static void put_number(struct buffer *buffer, unsigned number, uint64_t value)
{
	put_varint(buffer, number << 3);
	put_varint(buffer, value);
}

/* Its time is what is left of it, whatever the flags say; one that has expired has none left until it is read. */
static void put_timerfd(struct buffer *buffer, struct span timer)
{
	uint64_t seconds = value_of(timer, TIMERFD_SECONDS),
		 nanoseconds = value_of(timer, TIMERFD_NANOSECONDS);
	struct field field;
	if (seconds == 0 && nanoseconds == 0) {
		seconds = value_of(timer, TIMERFD_EVERY_SECONDS);
		nanoseconds = value_of(timer, TIMERFD_EVERY_NANOSECONDS);
	}
	while (next_field(&timer, &field))
		if (field.number < TIMERFD_SETTIME_FLAGS || field.number > TIMERFD_NANOSECONDS)
			put(buffer, field.start, (size_t)(field.bytes.end - field.start));
	put_number(buffer, TIMERFD_SETTIME_FLAGS, 0);
	put_number(buffer, TIMERFD_SECONDS, seconds);
	put_number(buffer, TIMERFD_NANOSECONDS, nanoseconds);
}

static void put_file(struct buffer *buffer, struct span file)
{
	struct field field;
	while (next_field(&file, &field)) {
		if (field.number != FILE_TIMERFD) {
			put(buffer, field.start, (size_t)(field.bytes.end - field.start));
			continue;
		}
		struct buffer timer = { 0 };
		put_timerfd(&timer, field.bytes);
		put_varint(buffer, FILE_TIMERFD << 3 | 2);
		put_varint(buffer, timer.length);
		put(buffer, timer.data, timer.length);
		free(timer.data);
	}
}

static bool is_whole(struct span message)
{
	struct field field;
	while (next_field(&message, &field))
		;
	return message.at;
}

/* One that can be understood: anything else stays as it is. */
static bool is_timerfd(struct span file)
{
	struct field field;
	if (!is_whole(file) || value_of(file, FILE_TYPE) != FILE_TYPE_TIMERFD)
		return false;
	while (next_field(&file, &field))
		if (field.number == FILE_TIMERFD && (field.wire != 2 || !is_whole(field.bytes)))
			return false;
	return true;
}

/* ---- image files ---- */

/* The next record of an image. */
static bool next_record(struct span *image, struct span *message)
{
	uint32_t length;
	size_t left = (size_t)(image->end - image->at);
	if (left < sizeof(length))
		return false;
	memcpy(&length, image->at, sizeof(length));
	if (length > left - sizeof(length))
		return false;
	message->at = image->at + sizeof(length);
	image->at = message->end = message->at + length;
	return true;
}

/* A kind of image: what is made of one; false when there is nothing to change. */
typedef bool mend(struct span image, struct buffer *mended);

static bool mend_cores(struct span image, struct buffer *mended)
{
	struct span core, rest = { image.at + IMAGE_HEADER, image.end };
	bool changed = false;
	while (next_record(&rest, &core))
		changed |= mend_core(core);
	put(mended, image.at, (size_t)(image.end - image.at));
	return changed;
}

static bool mend_files(struct span image, struct buffer *mended)
{
	struct span file, rest = { image.at + IMAGE_HEADER, image.end };
	bool changed = false;
	put(mended, image.at, IMAGE_HEADER);
	while (next_record(&rest, &file)) {
		size_t at = mended->length;
		put(mended, file.at - sizeof(uint32_t), sizeof(uint32_t));
		if (!is_timerfd(file)) {
			put(mended, file.at, (size_t)(file.end - file.at));
			continue;
		}
		put_file(mended, file);
		uint32_t length = (uint32_t)(mended->length - at - sizeof(length));
		memcpy(mended->data + at, &length, sizeof(length));
		changed = true;
	}
	put(mended, rest.at, (size_t)(rest.end - rest.at));
	return changed;
}

static const struct {
	const char *pattern;
	mend *mend;
} images[] = { { "core-*.img", mend_cores }, { "files.img", mend_files } };

static int mend_file(int directory, const char *name, mend *mend)
{
	autoclose int fd = openat(directory, name, O_RDWR | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < IMAGE_HEADER || st.st_size > IMAGE_LIMIT)
		return -EFBIG;
	autofree unsigned char *data = malloc((size_t)st.st_size);
	if (!data)
		return -ENOMEM;
	if (pread(fd, data, (size_t)st.st_size, 0) != st.st_size)
		return -EIO;
	struct buffer mended = { 0 };
	bool changed = mend((struct span){ data, data + st.st_size }, &mended);
	autofree unsigned char *owned = mended.data;
	if (!changed)
		return 0;
	if (pwrite(fd, owned, mended.length, 0) != (ssize_t)mended.length)
		return -EIO;
	return ftruncate(fd, (off_t)mended.length) < 0 ? -errno : 0;
}

int mend_image(const char *directory, struct error *err)
{
	autoclosedir DIR *list = opendir(directory);
	if (!list)
		return error_sys(err, errno, "cannot read %s", directory);
	for (struct dirent *entry; (entry = readdir(list));)
		for (size_t i = 0; i < array_length(images); i++) {
			if (fnmatch(images[i].pattern, entry->d_name, 0) != 0)
				continue;
			int status = mend_file(dirfd(list), entry->d_name, images[i].mend);
			if (status < 0)
				return error_sys(err, -status, "cannot set %s of the process image right",
						 entry->d_name);
		}
	return 0;
}
