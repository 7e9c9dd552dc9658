/* What an agent answers a keeper, in whatever lines: the first byte says in how large pieces. */
#include "agent/askline.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "lib/cleanup.h"
#include "tests/fuzz/fuzz.h"

enum { QUESTIONS = 3 };

struct asked {
	int answers[QUESTIONS];
};

static void on_answer(void *context, void *request, int code, const char *data, size_t length)
{
	struct asked *asked = context;
	(void)code;
	fuzz_check(strlen(data) <= length && data[length] == '\0');
	asked->answers[(intptr_t)request]++;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fuzz_check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		   listen(fd, 8) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int listener = -1;
	static char path[240];
	if (size < 1)
		return -1;
	if (listener < 0) {
		snprintf(path, sizeof(path), "%s/s", fuzz_scratch());
		listener = listen_at(path);
	}
	struct asked asked = { 0 };
	struct askline *line = askline_new(path, on_answer, &asked);
	for (intptr_t i = 0; i < QUESTIONS; i++) {
		json_object *question = json_object_new_object();
		json_object_object_add(question, "op", json_object_new_string("read"));
		askline_ask(line, question, (void *)i, 0);
	}
	int agent = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	fuzz_check(agent >= 0);
	size_t piece = data[0] ? (size_t)data[0] * 16 : size;
	for (size_t at = 1; at < size; at += piece) {
		size_t length = size - at < piece ? size - at : piece;
		if (send(agent, data + at, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		askline_work(line);
	}
	close(agent);
	askline_free(line);
	/* Each of them has one answer, were it only that there is none. */
	for (int i = 0; i < QUESTIONS; i++)
		fuzz_check(asked.answers[i] == 1);
	return 0;
}
