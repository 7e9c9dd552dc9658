/* What a keeper sends to its agent for the controller, and what is answered: the answers stand in the questions. */
#include "agent/asks.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "lib/cleanup.h"
#include "lib/json.h"
#include "tests/fuzz/fuzz.h"

static struct asks *asks;

/* A follower that takes every frame and answers it. */
static void ring(void *context, const char *id)
{
	static uint64_t stream;
	json_object *frame;
	(void)context;
	fuzz_check(!strcmp(id, "one"));
	stream++;
	while (asks_take(asks, id, stream, &frame)) {
		struct error err = { 0 };
		int status = asks_answer(asks, id, frame, &err);
		fuzz_check(status == 0 || err.text[0]);
		/* It waits until its time is over; what is answered is answered once. */
		json_object_object_del(frame, "errno");
		fuzz_check((asks_answer(asks, id, frame, &err) == 0) == (status < 0));
		json_object_put(frame);
	}
}

static void start(void)
{
	struct error err = { 0 };
	fuzz_check((asks = asks_start(ring, NULL, &err)));
	asks_open(asks, "one", fuzz_scratch());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (!asks)
		start();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/ask.sock", fuzz_scratch());
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fuzz_check(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	if (size > 0 && send(fd, data, size, MSG_NOSIGNAL) < 0)
		fuzz_check(!"send");
	shutdown(fd, SHUT_WR);
	/* The agent closes when it has seen the end. */
	char answer[4096];
	while (recv(fd, answer, sizeof(answer), 0) > 0)
		;
	close(fd);
	return 0;
}
