/* The first answer is remembered: agent/requests.h. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/requests.h"
#include "lib/file.h"

static char directory[] = "/tmp/float-requests-XXXXXX";

static void make(void)
{
	cr_assert_not_null(mkdtemp(directory));
}

static void clean(void)
{
	file_remove_tree(directory);
}

TestSuite(agent_requests, .init = make, .fini = clean);

Test(agent_requests, ids)
{
	cr_assert(requests_valid_id("a"));
	cr_assert(requests_valid_id("3f2a-B_.9"));
	cr_assert_not(requests_valid_id(""));
	cr_assert_not(requests_valid_id("../x"));
	cr_assert_not(requests_valid_id(".x"));
	cr_assert_not(requests_valid_id("a/b"));
	cr_assert_not(requests_valid_id("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

Test(agent_requests, again_after_a_restart)
{
	struct error err;
	int status;
	char *body = NULL;
	struct requests *requests = requests_new(directory, &err);
	cr_assert_eq(requests_begin(requests, "one", "POST /a", &status, &body, &err), 0);
	requests_end(requests, "one", "POST /a", 409, "{\"errno\":16}");
	requests_free(requests);

	requests = requests_new(directory, &err);
	cr_assert_eq(requests_begin(requests, "one", "POST /a", &status, &body, &err), 1);
	cr_assert_eq(status, 409);
	cr_assert_str_eq(body, "{\"errno\":16}");
	free(body);
	cr_assert_eq(requests_begin(requests, "one", "POST /b", &status, &body, &err), -EINVAL);
	cr_assert_eq(requests_begin(requests, "two", "POST /a", &status, &body, &err), 0);
	requests_end(requests, "two", "POST /a", 200, "{}");
	requests_free(requests);
}

static void *repeat(void *argument)
{
	struct error err;
	int status;
	char *body = NULL;
	cr_assert_eq(requests_begin(argument, "one", "POST /a", &status, &body, &err), 1);
	return body;
}

Test(agent_requests, a_repetition_waits)
{
	struct error err;
	int status;
	char *body = NULL;
	void *answer;
	pthread_t thread;
	struct requests *requests = requests_new(directory, &err);
	cr_assert_eq(requests_begin(requests, "one", "POST /a", &status, &body, &err), 0);
	pthread_create(&thread, NULL, repeat, requests);
	usleep(50000);
	requests_end(requests, "one", "POST /a", 200, "{\"n\":1}");
	pthread_join(thread, &answer);
	cr_assert_str_eq(answer, "{\"n\":1}");
	free(answer);
	requests_free(requests);
}
