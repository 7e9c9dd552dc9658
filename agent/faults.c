#include "agent/faults.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <time.h>

#include "agent/keeper_client.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/stand.h"

static void kill_agent(const char *directory)
{
	(void)directory;
	raise(SIGKILL);
}

static void stop_agent(const char *directory)
{
	(void)directory;
	stand_still();
}

/* As if its power went: whatever the host is (of a pid namespace it ends the first process, reboot(2)). */
static void lose_host(const char *directory)
{
	(void)directory;
	if (reboot(RB_POWER_OFF) < 0)
		log_error("the host cannot be turned off: %s", strerror(errno));
}

enum { CRIU_TURNS = 5000, CRIU_SPREAD_MS = 60 };

/* The first there is; 0: none. */
static pid_t find_criu(void)
{
	autoclosedir DIR *proc = opendir("/proc");
	struct dirent *entry;
	while (proc && (entry = readdir(proc))) {
		autofree char *path = format_string("/proc/%s/comm", entry->d_name), *text = NULL;
		if (isdigit((unsigned char)entry->d_name[0]) && file_read(path, 64, &text, NULL) == 0 &&
		    !strcmp(text, "criu\n"))
			return (pid_t)strtol(entry->d_name, NULL, 10);
	}
	return 0;
}

static void rest_ms(int64_t ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

/* Waits until there is one, and some time more, another one each time: it is to be hit at anything that it does. */
static void *meet_criu(void *context)
{
	int signal = (int)(intptr_t)context;
	pid_t pid = 0;
	for (int i = 0; i < CRIU_TURNS && (pid = find_criu()) == 0; i++)
		rest_ms(1);
	rest_ms(clock_now_ns() / 1000 % CRIU_SPREAD_MS);
	if (pid == 0 || kill(pid, signal) < 0 || signal != SIGSTOP)
		return NULL;
	rest_ms(1000 * STAND_SECONDS);
	kill(pid, SIGCONT);
	return NULL;
}

static void await_criu(int signal)
{
	pthread_t thread;
	int code = pthread_create(&thread, NULL, meet_criu, (void *)(intptr_t)signal);
	if (code == 0)
		pthread_detach(thread);
	else
		log_error("criu is let be: %s", strerror(code));
}

static void kill_criu(const char *directory)
{
	(void)directory;
	await_criu(SIGKILL);
}

static void stop_criu(const char *directory)
{
	(void)directory;
	await_criu(SIGSTOP);
}

static const struct {
	const char *name;
	void (*strike)(const char *directory); /* NULL: the step fails */
} kinds[] = {
	{ "error", NULL },         { "kill", kill_agent }, { "stop", stop_agent },
	{ "keeper", keeper_kill }, { "host", lose_host },  { "criukill", kill_criu },
	{ "criustop", stop_criu },
};

/* Its kind, behind the colon; NULL: none is asked for. */
static const char *find_fault(json_object *faults, const char *step)
{
	size_t length = strlen(step);
	for (size_t i = 0; faults && i < json_object_array_length(faults); i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(faults, i));
		if (text && !strncmp(text, step, length) && text[length] == ':')
			return text + length + 1;
	}
	return NULL;
}

int faults_strike(json_object *faults, const char *step, const char *directory, struct error *err)
{
	const char *kind = find_fault(faults, step);
	for (size_t i = 0; kind && i < array_length(kinds); i++) {
		if (strcmp(kind, kinds[i].name))
			continue;
		if (!kinds[i].strike)
			return error_set(err, EIO, "the step %s fails because a fault was asked for", step);
		kinds[i].strike(directory);
	}
	return 0;
}

const char *faults_of_answer(json_object *faults, const char *verb)
{
	autofree char *step = format_string("%s-answer", verb);
	return find_fault(faults, step);
}
