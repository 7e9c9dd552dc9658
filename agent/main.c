/*
 * float-agent: runs on every host. `float-agent` serves the API of API.md; `float-agent keeper DIRECTORY` is
 * the process that keeps one job (keeper.h).
 */
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/server.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"

#define ENROLMENT_FILE     "/etc/float/enrolment.json"
#define STATE_DIRECTORY    "/var/lib/float-agent"
#define RUN_DIRECTORY      "/run/float"
#define REQUESTS_DIRECTORY RUN_DIRECTORY "/requests"

/* The hooks of job.h: context is the agent. */

static void on_prepared(void *context, const char *id, const char *directory)
{
	struct agent *agent = context;
	asks_open(agent->asks, id, directory);
}

static void on_released(void *context, const char *id)
{
	struct agent *agent = context;
	streams_end(agent->streams, id);
	logs_forget(agent->logs, id);
	asks_close(agent->asks, id);
	peers_forget(agent->peers, id);
}

static void on_logs_open(void *context, const char *id, const char *log_dir)
{
	struct agent *agent = context;
	logs_open(agent->logs, id, log_dir);
}

static void on_logs_close(void *context, const char *id)
{
	struct agent *agent = context;
	logs_close(agent->logs, id);
}

static void on_changed(void *context, const char *id)
{
	struct agent *agent = context;
	streams_ring(agent->streams, id);
}

static int warm_peer(void *context, json_object *to, const char *id, struct error *err)
{
	struct agent *agent = context;
	return peers_warm(agent->peers, to, id, err);
}

static int adopt_peer(void *context, json_object *to, const char *id, int64_t epoch, json_object *body,
		      json_object **answer, struct error *err)
{
	struct agent *agent = context;
	return peers_adopt(agent->peers, to, id, epoch, body, answer, err);
}

static const struct jobs_hooks hooks = {
	.prepared = on_prepared,
	.released = on_released,
	.logs_open = on_logs_open,
	.logs_close = on_logs_close,
	.changed = on_changed,
	.warm_peer = warm_peer,
	.adopt_peer = adopt_peer,
};

static int start_parts(struct agent *agent, struct error *err)
{
	int status = file_make_directories(RUN_DIRECTORY, 0755);
	if (status < 0)
		return error_sys(err, -status, "cannot make %s", RUN_DIRECTORY);
	agent->streams = streams_new();
	if (!(agent->enrol = enrol_new(ENROLMENT_FILE, STATE_DIRECTORY, err)) ||
	    !(agent->requests = requests_new(REQUESTS_DIRECTORY, err)) ||
	    !(agent->logs = logs_start(streams_ring, agent->streams, err)) ||
	    !(agent->asks = asks_start(streams_ring, agent->streams, err)) ||
	    !(agent->jobs = jobs_open(enrol_host(agent->enrol), err)))
		return -err->code;
	agent->peers = peers_new(agent->enrol);
	streams_set_sources(agent->streams, agent->jobs, agent->logs, agent->asks);
	jobs_set_hooks(agent->jobs, &hooks, agent);
	return 0;
}

static void stop_parts(struct agent *agent)
{
	jobs_close(agent->jobs);
	peers_free(agent->peers);
	asks_stop(agent->asks);
	logs_stop(agent->logs);
	requests_free(agent->requests);
	enrol_free(agent->enrol);
	streams_free(agent->streams);
}

static int serve(void)
{
	/* Blocked in every thread; what is started from here gets them back (lib/proc.c, keeper_main's
	 * beginning). */
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	curl_global_init(CURL_GLOBAL_DEFAULT);

	struct agent agent = { 0 };
	struct error err = { 0 };
	struct server *server = NULL;
	if (start_parts(&agent, &err) < 0 ||
	    !(server = server_start(&agent, enrol_port(agent.enrol), &err))) {
		log_error("%s", err.text);
		return 1;
	}
	log_info("host %s: ready on port %d%s", enrol_host(agent.enrol), enrol_port(agent.enrol),
		 enrol_done(agent.enrol) ? "" : ", waiting to be enrolled");

	int number;
	sigwait(&ends, &number);
	log_info("host %s: ending by signal %d; jobs go on", enrol_host(agent.enrol), number);
	streams_end(agent.streams, NULL);
	server_stop(server);
	stop_parts(&agent);
	return 0;
}

static int keep(int argc, char **argv)
{
	/* The agent's own settings are inherited. */
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (argc != 3) {
		fprintf(stderr, "usage: float-agent keeper DIRECTORY\n");
		return 2;
	}
	return keeper_main(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	bool keeper = argc > 1 && strcmp(argv[1], "keeper") == 0;
	log_open(keeper ? "float-keeper" : "float-agent", LOG_INFO);
	if (keeper)
		return keep(argc, argv);
	if (argc == 2 && strcmp(argv[1], "-V") == 0) {
		printf("float-agent %s\n", FLOAT_VERSION);
		return 0;
	}
	if (argc != 1) {
		fprintf(stderr, "usage: float-agent [-V | keeper DIRECTORY]\n");
		return 2;
	}
	return serve();
}
