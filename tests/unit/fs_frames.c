/* An agent's stream: fs/frames.h. What any bytes may do is tests/fuzz/frames.c's. */
#include "fs/frames.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/json.h"

static char seen[1000];

static int note_frame(void *context, json_object *frame)
{
	(void)context;
	size_t used = strlen(seen);
	snprintf(seen + used, sizeof(seen) - used, "frame %s;",
		 json_object_to_json_string_ext(frame, JSON_C_TO_STRING_PLAIN));
	return json_get_bool(frame, "paused", false);
}

static int note_data(void *context, const struct frames_data *at, const void *bytes, size_t length)
{
	(void)context;
	size_t used = strlen(seen);
	snprintf(seen + used, sizeof(seen) - used, "%llu+%lld %.*s%s;", (unsigned long long)at->generation,
		 (long long)at->offset, (int)length, (const char *)bytes, length == at->left ? "." : "");
	return 0;
}

static const struct frames_taker taker = { note_frame, note_data };

static int take(const char *const pieces[], size_t count)
{
	struct frames frames = { .taker = &taker };
	struct error err = { 0 };
	int status = 0;
	seen[0] = '\0';
	for (size_t i = 0; i < count && status == 0; i++)
		status = frames_take(&frames, pieces[i], strlen(pieces[i]), &err);
	frames_free(&frames);
	cr_expect_eq(status < 0, err.text[0] != '\0');
	return status;
}

Test(frames, come_in_pieces)
{
	static const char *const pieces[] = {
		"{}\n{\"a\":", "1}\n{\"generation\":7,\"offset\":3,\"bytes\":5}", "\nhe", "llo{}\n"
	};
	cr_expect_eq(take(pieces, array_length(pieces)), 0);
	cr_expect_str_eq(seen, "frame {};frame {\"a\":1};7+3 he;7+5 llo.;frame {};");
}

Test(frames, end_with_what_the_taker_says)
{
	static const char *const pieces[] = { "{\"paused\":true}\n{\"a\":1}\n" };
	cr_expect_eq(take(pieces, 1), 1);
	cr_expect_str_eq(seen, "frame {\"paused\":true};");
}

Test(frames, that_are_wrong_are_refused)
{
	static const char *const wrong[] = {
		"x\n",
		"[]\n",
		"{\"generation\":7,\"offset\":0,\"bytes\":-1}\n",
		"{\"generation\":0,\"offset\":0,\"bytes\":1}\nx",
		"{\"generation\":7,\"offset\":-1,\"bytes\":1}\nx",
		"{\"generation\":7,\"offset\":9223372036854775807,\"bytes\":1}\nx",
	};
	for (size_t i = 0; i < array_length(wrong); i++) {
		cr_expect_eq(take(&wrong[i], 1), -EBADMSG, "%s", wrong[i]);
		cr_expect_str_eq(seen, "");
	}
}

Test(frames, a_line_has_an_end)
{
	static const char piece[1 << 20] = { 0 };
	struct frames frames = { .taker = &taker };
	struct error err = { 0 };
	int status = 0;
	for (int i = 0; i < 9 && status == 0; i++)
		status = frames_take(&frames, piece, sizeof(piece), &err);
	cr_expect_eq(status, -EFBIG);
	frames_free(&frames);
}

Test(frames, tell_how_the_job_ended)
{
	static const char text[] = "{\"code\":3,\"oom\":true,\"full\":[\"/\",\"/data\"]}";
	autojson json_object *exit = NULL;
	struct frames_exit end;
	cr_assert_eq(json_parse_object(text, strlen(text), &exit, NULL), 0);
	frames_read_exit(exit, &end);
	cr_expect_eq(end.code, 3);
	cr_expect_eq(end.signal, 0);
	cr_expect_str_eq(end.note, ", out of memory, / is full, /data is full");
}
