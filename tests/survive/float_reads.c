/* Reads of the job's own /float (status, info, job.events, the host link) without a pause: none is interrupted. */
#include "tests/survive/waits.h"

static int read_for_a_time(const char *path)
{
	char text[4096];
	for (int64_t end = survive_now_ms() + WAITS_MS; survive_now_ms() < end;) {
		int fd = open(path, O_RDONLY);
		if (fd < 0 || read(fd, text, sizeof(text)) <= 0 || close(fd) < 0)
			return -1;
	}
	return 0;
}

static int run_status(void)
{
	return read_for_a_time("/float/jobs/self/status");
}

static int run_info(void)
{
	return read_for_a_time("/float/jobs/self/info");
}

static int run_events(void)
{
	return read_for_a_time("/float/jobs/self/job.events");
}

static int run_host(void)
{
	char text[256];
	for (int64_t end = survive_now_ms() + WAITS_MS; survive_now_ms() < end;)
		if (readlink("/float/jobs/self/host", text, sizeof(text)) <= 0)
			return -1;
	return 0;
}

static const struct survive_wait waits[] = {
	{ "reads of status", run_status, NULL },
	{ "reads of info", run_info, NULL },
	{ "reads of job.events", run_events, NULL },
	{ "reads of host", run_host, NULL },
};

int main(void)
{
	return survive_waits(waits, sizeof(waits) / sizeof(*waits));
}
