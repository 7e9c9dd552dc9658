/* floatfs: starts, mounts, serves, stops. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/authority.h"
#include "fs/faults.h"
#include "fs/feed.h"
#include "fs/files.h"
#include "fs/follow.h"
#include "fs/fuse.h"
#include "fs/images.h"
#include "fs/job.h"
#include "fs/keep.h"
#include "fs/notify.h"
#include "fs/op.h"
#include "fs/period.h"
#include "fs/restart.h"
#include "fs/secrets.h"
#include "fs/users.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/proc.h"

enum {
	LOCK_WAIT_MS = 15000, /* for an earlier daemon of the same state to end */
	STOP_WAIT_MS = 10000, /* for operations to reach the end of their step; less than LOCK_WAIT_MS */
	LEAVE_WAIT_MS = 1000, /* the same, while whoever uses the mount waits */
};

/* One daemon a state directory: the lock is held as long as we live. */
static int lock_state(struct floatfs *fs, struct error *err)
{
	autofree char *path = format_string("%s/lock", fs->options.state);
	int status = file_make_directories(fs->options.state, 0711);
	if (status < 0)
		return error_sys(err, -status, "cannot make the state directory %s", fs->options.state);
	fs->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fs->lock_fd < 0)
		return error_sys(err, errno, "cannot open %s", path);
	for (int waited = 0; flock(fs->lock_fd, LOCK_EX | LOCK_NB) < 0; waited += 50) {
		if (errno != EWOULDBLOCK || waited >= LOCK_WAIT_MS)
			return error_set(err, EBUSY,
					 "another floatfs uses the state directory %s: umount it first",
					 fs->options.state);
		clock_sleep_ms(50);
	}
	return 0;
}

static void read_last_serial(struct floatfs *fs)
{
	autofree char *path = format_string("%s/serial", fs->options.state), *text = NULL;
	if (file_read(path, 64, &text, NULL) == 0)
		fs->last_serial = strtoull(text, NULL, 10);
}

/* A file that stands beside the program where it was built, or in ../lib/float where it was installed. */
static char *find_file(struct floatfs *fs, const char *name, struct error *err)
{
	static const char *const places[] = { ".", "../lib/float" };
	for (size_t i = 0; i < array_length(places); i++) {
		autofree char *path = format_string("%s/%s/%s", fs->executable_directory, places[i], name);
		if (access(path, R_OK) == 0)
			return take_pointer(path);
	}
	error_set(err, ENOENT, "the machine image %s is not there: `make image` makes it", name);
	return NULL;
}

static int open_cloud(struct floatfs *fs, struct error *err)
{
	fs->ops = cloud_find(fs->options.cloud);
	autofree char *state = format_string("%s/%s", fs->options.state, fs->ops->name);
	int status = file_make_directories(state, 0711);
	if (status < 0)
		return error_sys(err, -status, "cannot make %s", state);
	autofree char *machine =
	    fs->options.machine ? strdup(fs->options.machine) : find_file(fs, "machine.sqfs", err);
	autofree char *agent =
	    fs->options.agent ? strdup(fs->options.agent) : find_file(fs, "agent.sqfs", err);
	if (!machine || !agent)
		return -err->code;
	struct cloud_config config = {
		.state = state,
		.machine_image = machine,
		.agent_layer = agent,
		.network = fs->options.network,
	};
	return fs->ops->open(&config, &fs->cloud, err);
}

/* No thread runs yet; and first the mount, whose holder is a copy of us, as small as we are. */
static int open_all(struct floatfs *fs, struct fuse_mount **mount, struct error *err)
{
	int status = lock_state(fs, err);
	if (status == 0)
		status = fuse_mount_prepare(fs, mount, err);
	if (status == 0)
		read_last_serial(fs);
	if (status == 0 && fs->options.faults)
		status = faults_parse(fs->options.faults, &fs->faults, err);
	if (status == 0)
		status = authority_open(fs->options.state, &fs->authority, err);
	if (status == 0)
		status = open_cloud(fs, err);
	if (status == 0)
		status = feed_open(fs, err);
	if (status == 0)
		status = secrets_open(fs, err);
	if (status == 0)
		status = images_open(fs, err);
	if (status == 0)
		status = job_load_all(fs, err);
	if (status == 0)
		status = fuse_mount_open(*mount, err);
	return status;
}

static void close_all(struct floatfs *fs)
{
	job_free_all(fs);
	images_close(fs->images);
	secrets_close(fs->secrets);
	if (fs->cloud)
		fs->ops->close(fs->cloud);
	authority_close(fs->authority);
	faults_free(fs->faults);
	users_free_all(fs);
	if (fs->lock_fd >= 0)
		close(fs->lock_fd);
}

/* Hosts that no record knows: made by a floatfs that was killed before it could give them back. */
static void destroy_strays(struct floatfs *fs)
{
	struct cloud_host *hosts = NULL;
	size_t count = 0;
	struct error err = { 0 };
	if (fs->ops->host_list(fs->cloud, &hosts, &count, &err) < 0)
		log_warning("hosts cannot be listed: %s", err.text);
	for (size_t i = 0; i < count; i++) {
		bool known = false;
		pthread_mutex_lock(&fs->lock);
		for (size_t j = 0; j < fs->job_count && !known; j++) {
			const struct record *record = &fs->jobs[j]->record;
			known = !strcmp(record->host, hosts[i].id) || !strcmp(record->op.host, hosts[i].id) ||
				(record->op.token[0] && !strcmp(record->op.token, hosts[i].token));
		}
		pthread_mutex_unlock(&fs->lock);
		if (known)
			continue;
		log_info("host %s belongs to no job: it is given back", hosts[i].id);
		if (fs->ops->host_destroy(fs->cloud, hosts[i].id, &err) < 0)
			log_error("host %s is left over: %s", hosts[i].id, err.text);
	}
	free(hosts);
}

/* Take up what was under way, and follow what runs. */
static void take_up_jobs(struct floatfs *fs)
{
	destroy_strays(fs);
	for (size_t i = 0;; i++) {
		pthread_mutex_lock(&fs->lock);
		struct job *job = i < fs->job_count ? job_get_locked(fs->jobs[i]) : NULL;
		bool follow = job && job_is_on_host(&job->record);
		pthread_mutex_unlock(&fs->lock);
		if (!job)
			return;
		if (follow)
			follow_start(job);
		op_settle(job);
		job_put(job);
	}
}

/* Steps end where they are; what is left stands in the records. false: some are still at work. */
static bool stop_workers(struct floatfs *fs)
{
	int64_t deadline = clock_monotonic_ms() + (fs->leaving ? LEAVE_WAIT_MS : STOP_WAIT_MS);
	pthread_mutex_lock(&fs->lock);
	fs->stopping = true;
	pthread_cond_broadcast(&fs->wakeup);
	while (fs->workers > 0 && clock_monotonic_ms() < deadline) {
		pthread_mutex_unlock(&fs->lock);
		clock_sleep_ms(5);
		pthread_mutex_lock(&fs->lock);
	}
	int left = fs->workers;
	pthread_mutex_unlock(&fs->lock);
	/* Killed here or at any other instant: the next start goes on from the records. */
	if (left)
		log_info("%d steps are still at work: the next start takes them up again", left);
	return left == 0;
}

/* Tell the process that the user started, once; it ends with our status. */
static void report_ready(int *ready_fd, int status)
{
	unsigned char byte = (unsigned char)(status < 0 ? 1 : 0);
	if (*ready_fd < 0)
		return;
	if (write(*ready_fd, &byte, 1) != 1)
		log_debug("nobody waits for us to be ready");
	close(take_fd(*ready_fd));
}

/* In the background stderr, and with it the log, goes to STATE/log. */
static void log_to_state(struct floatfs *fs)
{
	autofree char *path = format_string("%s/log", fs->options.state);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		log_warning("cannot log to %s: %s", path, strerror(errno));
}

static int serve(struct floatfs *fs, const struct restart *restart, int *ready_fd, struct error *err)
{
	struct fuse_mount *mount = NULL;
	int status = open_all(fs, &mount, err);
	if (status < 0) {
		if (mount)
			fuse_mount_close(mount);
		close_all(fs);
		return status;
	}
	fuse_mount_block_signals();
	status = notify_start(fs->notify, err);
	if (status == 0) {
		if (!fs->options.foreground)
			log_to_state(fs);
		log_info("floatfs " FLOAT_VERSION " serves %s, state %s", fs->options.mountpoint,
			 fs->options.state);
		take_up_jobs(fs);
		status = keep_start(fs, err);
		if (status == 0)
			status = period_start(fs, err);
	}
	if (status == 0) {
		report_ready(ready_fd, 0);
		status = fuse_mount_serve(mount, err);
	}
	notify_stop(fs->notify);
	files_stop(fs->files);
	/* First: whatever touches a mount that nobody serves hangs. */
	fuse_mount_close(mount);
	bool stopped = stop_workers(fs);
	if (fs->leaving) {
		log_info("floatfs starts anew: %s", restart->program);
		status = restart_execute(restart, err);
	}
	if (!stopped)
		_exit(status < 0);
	close_all(fs);
	log_info("floatfs ends");
	return status;
}

/*
 * Go to the background: the child serves, the parent waits until it is ready. Returns in the child with the
 * pipe to say so; in the parent not at all.
 */
static int become_daemon(struct error *err)
{
	int ready[2];
	if (pipe2(ready, O_CLOEXEC) < 0)
		return error_sys(err, errno, "cannot make a pipe");
	pid_t pid = fork();
	if (pid < 0)
		return error_sys(err, errno, "cannot fork");
	if (pid > 0) {
		unsigned char byte = 1;
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			byte = 1;
		_exit(byte);
	}
	close(ready[0]);
	setsid();
	if (chdir("/") < 0)
		return error_sys(err, errno, "cannot change to /");
	return ready[1];
}

/* stderr stays until we are ready: a mistake is told to who made it. */
static void drop_terminal(void)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		return;
	dup2(null_fd, 0);
	dup2(null_fd, 1);
	close(null_fd);
}

int main(int argc, char **argv)
{
	struct error err = { 0 };
	struct options options;
	struct restart restart;
	log_open("floatfs", LOG_INFO);
	if (options_parse(&options, argc, argv, &err) < 0) {
		fprintf(stderr, "floatfs: %s\n", err.text);
		options_free(&options);
		return 2;
	}
	if (options.show_help || options.show_version || options.show_faults) {
		if (options.show_help)
			options_print_help();
		else if (options.show_faults)
			faults_print();
		else
			printf("floatfs %s\n", FLOAT_VERSION);
		options_free(&options);
		return 0;
	}
	if (options.debug)
		log_open("floatfs", LOG_DEBUG);
	if (geteuid() != 0) {
		fprintf(stderr, "floatfs: only root can run it: it makes namespaces and devices\n");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	umask(0022);
	/* What was open where we were started: were it a file of the mount, that could not be unmounted. */
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
	/* A live job is half a dozen descriptors, a shell's limit often 1,024. */
	proc_raise_files();

	int ready_fd = -1, status = restart_prepare(&restart, argv, &err);
	bool leave = !options.foreground && !restart.is_one;
	if (status == 0 && leave)
		ready_fd = status = become_daemon(&err);
	if (status < 0) {
		fprintf(stderr, "floatfs: %s\n", err.text);
		return 1;
	}
	if (leave)
		drop_terminal();
	curl_global_init(CURL_GLOBAL_DEFAULT);
	struct floatfs fs = { .options = options, .lock_fd = -1 };
	autofree char *program = strdup(restart.program);
	fs.executable_directory = dirname(program);
	pthread_mutex_init(&fs.lock, NULL);
	pthread_mutex_init(&fs.serial_lock, NULL);
	pthread_cond_init(&fs.wakeup, NULL);
	fs.notify = notify_new(&fs);
	fs.files = files_new(&fs);
	status = serve(&fs, &restart, &ready_fd, &err);
	if (status < 0) {
		fprintf(stderr, "floatfs: %s\n", err.text);
		report_ready(&ready_fd, status);
	}
	notify_free(fs.notify);
	files_free(fs.files);
	options_free(&fs.options);
	restart_free(&restart);
	curl_global_cleanup();
	return status < 0 ? 1 : 0;
}
