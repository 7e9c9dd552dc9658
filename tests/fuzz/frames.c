/* An agent's stream: it says the same in whatever pieces it comes. The first byte says how large those are. */
#include "fs/frames.h"

#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

struct seen {
	uint64_t hash, frames, bytes;
};

static void note(struct seen *seen, const void *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		seen->hash = (seen->hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3;
}

static int take_frame(void *context, json_object *frame)
{
	struct seen *seen = context;
	struct frames_exit end;
	const char *text = json_object_to_json_string(frame);
	note(seen, text, strlen(text));
	seen->frames++;
	frames_read_exit(frame, &end);
	fuzz_check(strlen(end.note) < sizeof(end.note) && end.code >= 0 && end.code < 256);
	note(seen, end.note, strlen(end.note));
	return 0;
}

static int take_data(void *context, const struct frames_data *at, const void *bytes, size_t length)
{
	struct seen *seen = context;
	fuzz_check(length > 0 && length <= at->left && at->generation > 0 && at->offset >= 0);
	for (size_t i = 0; i < length; i++) {
		int64_t offset = at->offset + (int64_t)i;
		note(seen, &offset, sizeof(offset));
		note(seen, (const char *)bytes + i, 1);
	}
	seen->bytes += length;
	return 0;
}

static int take(const uint8_t *data, size_t size, size_t piece, struct seen *seen)
{
	static const struct frames_taker taker = { take_frame, take_data };
	struct frames frames = { .taker = &taker, .context = seen };
	struct error err = { 0 };
	int status = 0;
	for (size_t at = 0; at < size && status == 0; at += piece) {
		/* A copy of its own: nothing is read beyond its end. */
		size_t length = size - at < piece ? size - at : piece;
		autofree uint8_t *copy = malloc(length);
		memcpy(copy, data + at, length);
		status = frames_take(&frames, copy, length, &err);
	}
	fuzz_check(status == 0 || (status < 0 && err.text[0]));
	frames_free(&frames);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = { 0 }, parts = { 0 };
	if (size < 2)
		return -1;
	int status = take(data + 1, size - 1, size, &whole);
	fuzz_check(take(data + 1, size - 1, (data[0] & 63) + 1, &parts) == status);
	fuzz_check(!memcmp(&whole, &parts, sizeof(whole)));
	return 0;
}
