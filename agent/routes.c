#include "agent/routes.h"

#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/pki.h"

static int do_enrol_get(struct call *call, json_object **answer, struct error *err)
{
	return enrol_describe(call->agent->enrol, answer, err);
}

static int do_enrol_post(struct call *call, json_object **answer, struct error *err)
{
	return enrol_accept(call->agent->enrol, call->body, answer, err);
}

static int do_state(struct call *call, json_object **answer, struct error *err)
{
	autofree char *boot_id = NULL;
	if (file_read("/proc/sys/kernel/random/boot_id", 64, &boot_id, NULL) < 0)
		return error_set(err, EIO, "this host has no boot id; is /proc mounted");
	boot_id[strcspn(boot_id, "\n")] = '\0';
	*answer = json_object_new_object();
	json_set_string(*answer, "host", enrol_host(call->agent->enrol));
	json_set_string(*answer, "boot_id", boot_id);
	json_set_string(*answer, "version", FLOAT_VERSION);
	json_set_int(*answer, "now_ns", clock_now_ns());
	json_object_object_add(*answer, "jobs", jobs_describe(call->agent->jobs));
	return 0;
}

static int do_job(struct call *call, json_object **answer, struct error *err)
{
	*answer = jobs_describe_one(call->agent->jobs, call->id);
	return *answer ? 0 : error_set(err, ENOENT, "there is no job %s on this host", call->id);
}

static int do_operation(struct call *call, json_object **answer, struct error *err)
{
	return call->route->operation(call->agent->jobs, call->id, call->epoch, call->body, answer, err);
}

static int do_stream(struct call *call, json_object **answer, struct error *err)
{
	(void)answer;
	return jobs_check_epoch(call->agent->jobs, call->id, call->epoch, err);
}

static int do_answer(struct call *call, json_object **answer, struct error *err)
{
	(void)answer;
	int status = jobs_check_epoch(call->agent->jobs, call->id, call->epoch, err);
	return status < 0 ? status : asks_answer(call->agent->asks, call->id, call->body, err);
}

static const struct route routes[] = {
	{ "GET", "/v1/enrol", ROUTE_ENROLMENT, do_enrol_get, NULL, false },
	{ "POST", "/v1/enrol", ROUTE_ENROLMENT, do_enrol_post, NULL, false },
	{ "GET", "/v1/state", ROUTE_CONTROLLER, do_state, NULL, false },
	{ "GET", "/v1/jobs/*", ROUTE_PEER, do_job, NULL, false },
	{ "POST", "/v1/jobs/*/prepare", ROUTE_CONTROLLER, do_operation, jobs_prepare, false },
	{ "POST", "/v1/jobs/*/start", ROUTE_CONTROLLER, do_operation, jobs_start, false },
	{ "POST", "/v1/jobs/*/float", ROUTE_CONTROLLER, do_operation, jobs_float, false },
	{ "POST", "/v1/jobs/*/adopt", ROUTE_PEER, do_operation, jobs_adopt, false },
	{ "POST", "/v1/jobs/*/dump", ROUTE_CONTROLLER, do_operation, jobs_dump, false },
	{ "POST", "/v1/jobs/*/checkpoint", ROUTE_CONTROLLER, do_operation, jobs_checkpoint, false },
	{ "POST", "/v1/jobs/*/tidy", ROUTE_CONTROLLER, do_operation, jobs_tidy, false },
	{ "POST", "/v1/jobs/*/stop", ROUTE_CONTROLLER, do_operation, jobs_stop, false },
	{ "POST", "/v1/jobs/*/signal", ROUTE_CONTROLLER, do_operation, jobs_signal, false },
	{ "POST", "/v1/jobs/*/abort", ROUTE_CONTROLLER, do_operation, jobs_abort, false },
	{ "POST", "/v1/jobs/*/release", ROUTE_CONTROLLER, do_operation, jobs_release, false },
	{ "POST", "/v1/jobs/*/open", ROUTE_CONTROLLER, do_operation, jobs_show, false },
	{ "POST", "/v1/jobs/*/files", ROUTE_CONTROLLER, do_operation, jobs_files, false },
	{ "POST", "/v1/jobs/*/read", ROUTE_CONTROLLER, NULL, NULL, false },
	{ "POST", "/v1/jobs/*/stream", ROUTE_CONTROLLER, do_stream, NULL, true },
	{ "POST", "/v1/jobs/*/answer", ROUTE_CONTROLLER, do_answer, NULL, false },
};

/* A job's id as everywhere in the tree. */
static size_t id_length(const char *at)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strspn(at, letters);
	return length >= ROUTE_ID_SIZE || strchr("._-", at[0]) ? 0 : length;
}

static bool path_matches(const char *pattern, const char *path, char *id)
{
	id[0] = '\0';
	const char *star = strchr(pattern, '*');
	if (!star)
		return strcmp(pattern, path) == 0;
	size_t before = (size_t)(star - pattern);
	if (strncmp(pattern, path, before) != 0)
		return false;
	size_t length = id_length(path + before);
	if (length == 0 || strcmp(star + 1, path + before + length) != 0)
		return false;
	memcpy(id, path + before, length);
	id[length] = '\0';
	return true;
}

const struct route *routes_find(const char *method, const char *path, char *id, bool *known)
{
	*known = false;
	for (size_t i = 0; i < array_length(routes); i++) {
		if (!path_matches(routes[i].path, path, id))
			continue;
		if (strcmp(routes[i].method, method) == 0)
			return &routes[i];
		*known = true;
	}
	return NULL;
}

int routes_check_caller(const struct call *call, struct error *err)
{
	enum route_who who = call->route->who;
	if (who != ROUTE_ENROLMENT && !enrol_done(call->agent->enrol))
		return error_set(err, EACCES, "this agent has not been enrolled");
	if (strcmp(call->peer, PKI_CONTROLLER) == 0)
		return 0;
	if (who == ROUTE_PEER && jobs_peer_allowed(call->agent->jobs, call->id, call->peer))
		return 0;
	return error_set(err, EACCES, "%s may not ask this", call->peer);
}

int routes_http_status(int code)
{
	static const struct {
		int code, status;
	} table[] = {
		{ EINVAL, 400 },     { EBADMSG, 400 }, { EPROTO, 400 }, { EACCES, 403 },
		{ EPERM, 403 },      { ENOENT, 404 },  { EBUSY, 409 },  { ESTALE, 409 },
		{ EOPNOTSUPP, 409 }, { EFBIG, 413 },   { EAGAIN, 503 },
	};
	for (size_t i = 0; i < array_length(table); i++)
		if (table[i].code == code)
			return table[i].status;
	return 500;
}
