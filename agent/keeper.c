#include "agent/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/cgroup_limits.h"
#include "agent/container.h"
#include "agent/criu.h"
#include "agent/job.h"
#include "agent/jobfs.h"
#include "agent/layout.h"
#include "agent/network.h"
#include "agent/outside.h"
#include "agent/sockopts.h"
#include "agent/spec.h"
#include "agent/spent.h"
#include "agent/uncarried.h"
#include "agent/waits.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

enum { CONNECTIONS_MAX = 32, GONE_WAIT_MS = 10000, LOOK_FIRST_MS = 50, LOOK_MAX_MS = 5000 };

struct connection {
	int fd; /* -1: free */
	bool watches;
};

struct keeper {
	const char *directory;
	struct spec *spec;
	struct layout *layout;
	struct jobfs *fs;
	struct network *network;
	struct outside *outside;
	int listener;
	int signals;
	pid_t pid;       /* the container's first process as the host sees it; 0: none */
	int64_t kill_at; /* monotonic ms; 0: no stop is under way */
	struct waits *waits;
	int64_t look_at; /* monotonic ms; when to look at what its threads wait for */
	int look_pause_ms;
	json_object *exit; /* NULL: not ended */
	bool quit;
	struct connection connections[CONNECTIONS_MAX];
};

/* ---- the end ---- */

static void send_packet(int fd, json_object *object)
{
	size_t length;
	const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);
	/* A receiver that has gone away is no error: its answer is not wanted any more. */
	if (send(fd, text, length, MSG_NOSIGNAL) < 0)
		log_debug("an answer of the keeper was not taken: %s", strerror(errno));
}

static void tell_exit(struct keeper *keeper, int fd)
{
	autojson json_object *event = json_object_new_object();
	json_object_object_add(event, "exit", json_object_get(keeper->exit));
	send_packet(fd, event);
}

static void record_exit(struct keeper *keeper, const struct container_end *end)
{
	keeper->pid = 0;
	keeper->kill_at = 0;
	keeper->exit = json_object_new_object();
	json_set_int(keeper->exit, end->signal ? "signal" : "code", end->signal ? end->signal : end->code);
	cgroup_note_limits(keeper->exit);
	layout_note_full(keeper->layout, keeper->exit);
	autofree char *path = layout_path(keeper->layout, "exit");
	int status = json_write_file(path, keeper->exit, 0600);
	if (status < 0)
		log_error("cannot write %s: %s", path, strerror(-status));
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (keeper->connections[i].fd >= 0 && keeper->connections[i].watches)
			tell_exit(keeper, keeper->connections[i].fd);
}

/* Has the first process ended? Its end is the end of all: the kernel kills the rest of its pid namespace
 * first. */
static void reap(struct keeper *keeper)
{
	struct container_end end;
	if (keeper->pid > 0 && container_reap(keeper->pid, &end))
		record_exit(keeper, &end);
}

/* Wait until the first process is gone; false when it does not go. */
static bool wait_gone(pid_t pid, struct container_end *end)
{
	int64_t until = clock_monotonic_ms() + GONE_WAIT_MS;
	while (!container_reap(pid, end)) {
		if (clock_monotonic_ms() >= until)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
	}
	return true;
}

/* ---- what it waits for ---- */

/* Soon after its start and its restore, when much begins, and then less often. */
static void look_soon(struct keeper *keeper)
{
	keeper->look_pause_ms = LOOK_FIRST_MS;
	keeper->look_at = clock_monotonic_ms();
}

static void look(struct keeper *keeper)
{
	waits_look(keeper->waits);
	keeper->look_at = clock_monotonic_ms() + keeper->look_pause_ms;
	keeper->look_pause_ms *= 2;
	if (keeper->look_pause_ms > LOOK_MAX_MS)
		keeper->look_pause_ms = LOOK_MAX_MS;
}

/* ---- the verbs ---- */

typedef int verb(struct keeper *keeper, json_object *request, json_object *reply, struct error *err);

static int need_running(struct keeper *keeper, struct error *err)
{
	reap(keeper);
	if (keeper->pid > 0)
		return 0;
	return error_set(err, EOPNOTSUPP,
			 keeper->exit ? "the job has ended" : "the job does not run on this host");
}

static int do_state(struct keeper *keeper, json_object *request, json_object *reply, struct error *err)
{
	(void)request;
	(void)err;
	reap(keeper);
	json_set_int(reply, "pid", keeper->pid);
	if (keeper->exit)
		json_object_object_add(reply, "exit", json_object_get(keeper->exit));
	return 0;
}

static int do_start(struct keeper *keeper, json_object *request, json_object *reply, struct error *err)
{
	(void)request;
	if (keeper->pid == 0 && !keeper->exit) {
		int status = network_unlock(keeper->network, err);
		if (status == 0)
			status = container_start(keeper->layout, &keeper->pid, err);
		if (status < 0)
			return status;
		look_soon(keeper);
	}
	json_set_int(reply, "pid", keeper->pid);
	return 0;
}

static char *sizes_path(struct keeper *keeper)
{
	return layout_path(keeper->layout, "process/float.json");
}

static char *options_path(struct keeper *keeper)
{
	return layout_path(keeper->layout, "process/sockets.json");
}

/* There is a file only where there are some: writing it durably takes its time. */
static int save_options(struct keeper *keeper, json_object *options, struct error *err)
{
	autofree char *path = options_path(keeper);
	int status = 0;
	if (json_object_object_length(options) > 0)
		status = json_write_file(path, options, 0600);
	else if (unlink(path) < 0 && errno != ENOENT)
		status = -errno;
	return status < 0 ? error_sys(err, -status, "cannot write to the volume for the process image") : 0;
}

static void open_outside(struct keeper *keeper)
{
	struct error err = { 0 };
	if (outside_open(keeper->outside, &err) < 0)
		log_warning("the job has no way out any more: %s", err.text);
}

static int do_restore(struct keeper *keeper, json_object *request, json_object *reply, struct error *err)
{
	int64_t thaw_ns = 0;
	if (keeper->pid > 0)
		return error_set(err, EEXIST, "the job runs here already");
	autofree char *path = sizes_path(keeper), *sockets = options_path(keeper);
	autojson json_object *sizes = NULL, *options = NULL;
	if (json_read_file(path, &sizes, err) < 0)
		return error_set(err, ENODATA, "there is no process image on the volume for it");
	if (access(sockets, F_OK) == 0 && json_read_file(sockets, &options, err) < 0)
		return -EIO;
	bool once = json_get_bool(request, "once", false);
	int status = once ? spent_check(keeper->layout, err) : 0;
	if (status < 0)
		return status;
	jobfs_hold_at(keeper->fs, sizes);
	open_outside(keeper);
	status = criu_restore(keeper->layout, keeper->network, options, once,
			      (int)json_get_int(request, "timeout_ms", 60000), &keeper->pid, &thaw_ns, err);
	if (status < 0) {
		keeper->pid = 0;
		return status;
	}
	/* Of a snapshot, which has connections that nobody keeps up any more. */
	if (json_get_bool(request, "cut", false)) {
		int closed = 0;
		struct error cutting = { 0 };
		if (outside_close(keeper->outside, &closed, &cutting) < 0)
			log_warning("connections to the outside are left to end by themselves: %s",
				    cutting.text);
		json_set_int(reply, "closed", closed);
		open_outside(keeper);
	}
	jobfs_go_on(keeper->fs);
	look_soon(keeper);
	json_set_int(reply, "pid", keeper->pid);
	json_set_int(reply, "thaw_ns", thaw_ns);
	return 0;
}

/* Half a job must not go on: it is lost with its keeper, and floatfs goes back to its last snapshot. */
static void give_up(const struct error *err)
{
	log_error("the job is given up: %s", err->text);
	cgroup_kill();
	raise(SIGKILL);
}

static int dump(struct keeper *keeper, json_object *request, json_object *reply, json_object *options,
		struct error *err)
{
	int64_t freeze_ns = 0;
	int closed = 0;
	struct container_end end;
	int status = save_options(keeper, options, err);
	if (status < 0)
		return status;
	/* criu compares the sizes of what the job has open: its own /float must show the same on both hosts.
	 */
	autofree char *path = sizes_path(keeper);
	autojson json_object *sizes = jobfs_hold(keeper->fs);
	status = file_write_durable(path, json_object_to_json_string(sizes),
				    strlen(json_object_to_json_string(sizes)), 0600);
	if (status < 0)
		status = error_sys(err, -status, "cannot write to the volume for the process image");
	if (status == 0 && !json_get_bool(request, "stays", false)) {
		status = outside_close(keeper->outside, &closed, err);
		json_set_int(reply, "closed", closed);
	}
	if (status == 0)
		status = criu_dump(keeper->layout, keeper->network, keeper->waits, keeper->pid,
				   (int)json_get_int(request, "timeout_ms", 60000), &freeze_ns, err);
	if (status == -EOWNERDEAD)
		give_up(err);
	if (status < 0) {
		open_outside(keeper);
		jobfs_go_on(keeper->fs);
		reap(keeper);
		return keeper->exit ? error_set(err, EOPNOTSUPP, "the job has ended") : status;
	}
	/* What the dump killed is no end of the job. */
	if (!wait_gone(keeper->pid, &end))
		log_warning("process %d is still there after the dump", (int)keeper->pid);
	keeper->pid = 0;
	json_set_int(reply, "freeze_ns", freeze_ns);
	/* What was sent and closed between our look and the freeze. Here it is still to be delivered. */
	status = uncarried_look_again(keeper->spec, err);
	if (status == 0)
		return 0;
	struct error more = { 0 };
	if (do_restore(keeper, request, reply, &more) < 0)
		log_error("the job cannot be taken up again at once: %s", more.text);
	return status;
}

static int do_dump(struct keeper *keeper, json_object *request, json_object *reply, struct error *err)
{
	int status = need_running(keeper, err);
	/* Before anything of the job's is touched: for what passes by itself the dump is asked for again and again. */
	if (status == 0)
		status = uncarried_look(keeper->spec, err);
	if (status < 0)
		return status;
	struct sockopts *sockopts = sockopts_read();
	status = dump(keeper, request, reply, sockopts_json(sockopts), err);
	if (status < 0)
		sockopts_put_back(sockopts);
	sockopts_free(sockopts);
	return status;
}

static int do_signal(struct keeper *keeper, json_object *request, json_object *reply, struct error *err)
{
	(void)reply;
	int signal = (int)json_get_int(request, "signal", 0);
	int status = need_running(keeper, err);
	if (status < 0)
		return status;
	if (signal < 1 || signal >= NSIG)
		return error_set(err, EINVAL, "there is no signal %d", signal);
	status = container_signal(keeper->pid, signal);
	return status < 0 ? error_sys(err, -status, "cannot send signal %d to the job", signal) : 0;
}

static int do_stop(struct keeper *keeper, json_object *request, json_object *reply, struct error *err)
{
	(void)reply;
	int64_t at = clock_monotonic_ms() + json_get_int(request, "grace_ms", 10000);
	int status = need_running(keeper, err);
	if (status < 0)
		return status;
	if (keeper->kill_at == 0 || at < keeper->kill_at)
		keeper->kill_at = at;
	container_stop(keeper->pid);
	return 0;
}

static int do_kill(struct keeper *keeper, json_object *request, json_object *reply, struct error *err)
{
	(void)request;
	(void)reply;
	struct container_end end;
	if (keeper->pid > 0) {
		kill(keeper->pid, SIGKILL);
		if (!wait_gone(keeper->pid, &end))
			return error_set(err, EBUSY,
					 "the job's processes do not end: one hangs in the kernel");
		record_exit(keeper, &end);
	}
	cgroup_kill();
	return 0;
}

static int do_watch(struct keeper *keeper, json_object *request, json_object *reply, struct error *err)
{
	(void)keeper;
	(void)request;
	(void)reply;
	(void)err;
	return 0;
}

static int do_quit(struct keeper *keeper, json_object *request, json_object *reply, struct error *err)
{
	int status = do_kill(keeper, request, reply, err);
	keeper->quit = status == 0;
	return status;
}

static const struct {
	const char *name;
	verb *run;
} verbs[] = {
	{ "state", do_state },     { "start", do_start },   { "dump", do_dump },
	{ "restore", do_restore }, { "signal", do_signal }, { "stop", do_stop },
	{ "kill", do_kill },       { "watch", do_watch },   { "quit", do_quit },
};

static verb *find_verb(const char *name)
{
	for (size_t i = 0; i < array_length(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return verbs[i].run;
	return NULL;
}

static void serve(struct keeper *keeper, struct connection *connection)
{
	static char packet[KEEPER_PACKET_MAX];
	struct error err = { 0 };
	autojson json_object *request = NULL, *reply = json_object_new_object();
	ssize_t length = recv(connection->fd, packet, sizeof(packet) - 1, MSG_DONTWAIT);
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length <= 0) {
		close(connection->fd);
		*connection = (struct connection){ .fd = -1 };
		return;
	}
	packet[length] = '\0';
	int status = json_parse_object(packet, (size_t)length, &request, &err);
	verb *run = status == 0 ? find_verb(json_get_string(request, "do", "")) : NULL;
	if (status == 0)
		status = run ? run(keeper, request, reply, &err)
			     : error_set(&err, EINVAL, "the keeper has no such verb");
	if (run == do_watch) {
		connection->watches = true;
		if (keeper->exit)
			tell_exit(keeper, connection->fd);
		return;
	}
	json_set_int(reply, "errno", -status);
	if (status < 0)
		json_set_string(reply, "sentence", err.text);
	if (!keeper->quit)
		send_packet(connection->fd, reply);
}

static void accept_one(struct keeper *keeper)
{
	int fd = accept4(keeper->listener, NULL, NULL, SOCK_CLOEXEC);
	for (size_t i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++)
		if (keeper->connections[i].fd < 0) {
			keeper->connections[i] = (struct connection){ .fd = fd };
			return;
		}
	if (fd >= 0)
		close(fd);
}

/* Milliseconds until there is something to do by itself; -1: nothing. */
static int time_left(const struct keeper *keeper)
{
	int64_t at = keeper->pid > 0 ? keeper->look_at : INT64_MAX;
	if (keeper->kill_at && keeper->kill_at < at)
		at = keeper->kill_at;
	int64_t left = at - clock_monotonic_ms();
	return at == INT64_MAX ? -1 : left < 0 ? 0 : (int)left;
}

static void run(struct keeper *keeper)
{
	while (!keeper->quit) {
		struct pollfd waiting[2 + CONNECTIONS_MAX] = {
			{ .fd = keeper->listener, .events = POLLIN },
			{ .fd = keeper->signals, .events = POLLIN },
		};
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			waiting[2 + i] = (struct pollfd){ .fd = keeper->connections[i].fd, .events = POLLIN };
		int ready = poll(waiting, array_length(waiting), time_left(keeper));
		if (ready < 0 && errno != EINTR)
			log_error("the keeper's poll failed: %s", strerror(errno));
		if (keeper->kill_at && clock_monotonic_ms() >= keeper->kill_at) {
			keeper->kill_at = 0;
			if (keeper->pid > 0)
				kill(keeper->pid, SIGKILL);
		}
		if (keeper->pid > 0 && clock_monotonic_ms() >= keeper->look_at)
			look(keeper);
		if (ready <= 0)
			continue;
		if (waiting[1].revents) {
			struct signalfd_siginfo info;
			if (read(keeper->signals, &info, sizeof(info)) > 0)
				reap(keeper);
		}
		if (waiting[0].revents)
			accept_one(keeper);
		for (size_t i = 0; i < CONNECTIONS_MAX && !keeper->quit; i++)
			if (waiting[2 + i].revents && keeper->connections[i].fd == waiting[2 + i].fd)
				serve(keeper, &keeper->connections[i]);
	}
}

/* ---- up and down ---- */

static int listen_at(const char *directory, int *listener, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" KEEPER_SOCKET, directory);
	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return error_set(err, ENAMETOOLONG, "the path %s is too long for a socket", directory);
	unlink(address.sun_path);
	*listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*listener < 0 || bind(*listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(*listener, 16) < 0)
		return error_sys(err, errno, "cannot listen at %s", address.sun_path);
	return 0;
}

/*
 * What would end the keeper is blocked, not ignored: criu stops helpers of its own by SIGTERM, and an ignored
 * signal is inherited over exec.
 */
static int set_signals(int *fd, struct error *err)
{
	static const int blocked[] = { SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	sigset_t mask, child;
	sigemptyset(&mask);
	for (size_t i = 0; i < array_length(blocked); i++) {
		signal(blocked[i], SIG_DFL);
		sigaddset(&mask, blocked[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	/* Before jobfs's thread is there: it inherits the mask. */
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	*fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	return *fd < 0 ? error_sys(err, errno, "cannot wait for the job's end") : 0;
}

static int come_up(struct keeper *keeper, struct error *err)
{
	autofree char *spec_path = format_string("%s/spec.json", keeper->directory);
	autojson json_object *object = NULL;
	int status = json_read_file(spec_path, &object, err);
	if (status < 0)
		return status;
	keeper->spec = spec_parse(object, err);
	if (!keeper->spec)
		return -EINVAL;
	keeper->layout = layout_new(keeper->directory, keeper->spec);

	autofree char *mountpoint = layout_path(keeper->layout, "float"),
		      *log_dir = layout_path(keeper->layout, "log"),
		      *socket = layout_path(keeper->layout, "ask.sock");
	struct jobfs_config config = {
		.id = keeper->spec->id,
		.mountpoint = mountpoint,
		.socket = socket,
		.log_dir = log_dir,
		.log_path = keeper->spec->log,
		.uid = keeper->spec->uid,
		.gid = keeper->spec->gid,
		.tree = keeper->spec->tree,
	};
	if (fcntl(KEEPER_LOCK_FD, F_SETFD, FD_CLOEXEC) < 0)
		return error_sys(err, errno, "the keeper is started by its agent, which hands it the lock");
	status = set_signals(&keeper->signals, err);
	if (status == 0)
		status = outside_prepare(keeper->spec, &keeper->outside, err);
	if (status == 0)
		status = network_enter(keeper->spec->address, &keeper->network, err);
	if (status == 0)
		status = outside_connect(keeper->outside, err);
	if (status == 0) {
		criu_prepare_host();
		/* Here already, not within the freeze; criu's trials above want an open network. */
		status = network_lock(keeper->network, err);
	}
	if (status == 0)
		status = jobfs_start(&config, &keeper->fs, err);
	return status == 0 ? listen_at(keeper->directory, &keeper->listener, err) : status;
}

/* To the agent that started us, on standard output; then nothing of it is held any more. */
static void report(int status, const struct error *err)
{
	autojson json_object *reply = json_object_new_object();
	json_set_int(reply, "errno", -status);
	if (status < 0)
		json_set_string(reply, "sentence", err->text);
	const char *text = json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN);
	/* The agent may have been killed meanwhile: the next one finds the socket. */
	if (file_write_all(STDOUT_FILENO, text, strlen(text)) < 0)
		log_info("the agent that started the keeper has gone");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDOUT_FILENO);
		close(null);
	}
}

int keeper_main(int argc, char **argv)
{
	struct error err = { 0 };
	struct keeper keeper = {
		.directory = argv[argc - 1], .listener = -1, .signals = -1, .waits = waits_new()
	};
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		keeper.connections[i].fd = -1;
	prctl(PR_SET_NAME, "float-keeper", 0, 0, 0);
	int status = come_up(&keeper, &err);
	report(status, &err);
	if (status == 0)
		run(&keeper);
	waits_free(keeper.waits);
	jobfs_stop(keeper.fs);
	network_free(keeper.network);
	outside_free(keeper.outside);
	autofree char *socket = format_string("%s/" KEEPER_SOCKET, keeper.directory);
	unlink(socket);
	layout_free(keeper.layout);
	spec_free(keeper.spec);
	json_object_put(keeper.exit);
	return status < 0;
}
