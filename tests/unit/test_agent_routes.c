/* Which request goes to whom: agent/routes.h. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/routes.h"

static const struct route *find(const char *method, const char *path, char *id)
{
	bool known;
	return routes_find(method, path, id, &known);
}

Test(agent_routes, an_operation_gets_the_id)
{
	char id[ROUTE_ID_SIZE];
	const struct route *route = find("POST", "/v1/jobs/abc-1.2_3/float", id);
	cr_assert_not_null(route);
	cr_assert_str_eq(id, "abc-1.2_3");
	cr_assert_eq(route->operation, jobs_float);
	cr_assert_eq(route->who, ROUTE_CONTROLLER);
	cr_assert_eq(find("POST", "/v1/jobs/x/adopt", id)->who, ROUTE_PEER);
	cr_assert(find("POST", "/v1/jobs/x/stream", id)->stream);
	cr_assert_eq(find("POST", "/v1/jobs/x/files", id)->operation, jobs_files);
	cr_assert_null(find("POST", "/v1/jobs/x/read", id)->handler, "its answer is bytes");
	cr_assert_eq(find("POST", "/v1/jobs/x/read", id)->who, ROUTE_CONTROLLER);
	cr_assert_str_eq(find("GET", "/v1/jobs/x", id)->path, "/v1/jobs/*");
}

Test(agent_routes, what_is_not_in_the_table)
{
	static const char *const paths[] = {
		"/",
		"/v1",
		"/v1/state/",
		"/v1/jobs/",
		"/v1/jobs//start",
		"/v1/jobs/../start",
		"/v1/jobs/-a/start",
		"/v1/jobs/a b/start",
		"/v1/jobs/a/nothing",
		"/v1/jobs/a/start/x",
	};
	char id[ROUTE_ID_SIZE];
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		cr_assert_null(find("POST", paths[i], id), "%s", paths[i]);
	char path[200] = "/v1/jobs/";
	memset(path + 9, 'a', 65);
	strcpy(path + 9 + 65, "/start");
	cr_assert_null(find("POST", path, id));
	strcpy(path + 9 + 64, "/start");
	cr_assert_not_null(find("POST", path, id));
}

Test(agent_routes, another_method)
{
	char id[ROUTE_ID_SIZE];
	bool known;
	cr_assert_null(routes_find("GET", "/v1/jobs/a/start", id, &known));
	cr_assert(known);
	cr_assert_null(routes_find("GET", "/v2", id, &known));
	cr_assert_not(known);
}

Test(agent_routes, http_status)
{
	cr_assert_eq(routes_http_status(ENOENT), 404);
	cr_assert_eq(routes_http_status(ESTALE), 409);
	cr_assert_eq(routes_http_status(EINVAL), 400);
	cr_assert_eq(routes_http_status(EIO), 500);
}
