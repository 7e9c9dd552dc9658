#include "agent/jobfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/jobfs_inside.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

static void *jobfs_main(void *argument)
{
	struct jobfs *fs = argument;
	struct fuse_buf buffer = { 0 };
	pthread_mutex_lock(&fs->lock);
	while (!fs->stopping && !fuse_session_exited(fs->session)) {
		struct pollfd waiting[] = {
			{ .fd = fuse_session_fd(fs->session), .events = POLLIN },
			{ .fd = fs->wake_fd, .events = POLLIN },
			{ .fd = askline_fd(fs->line), .events = POLLIN },
		};
		int timeout = askline_timeout_ms(fs->line), interrupts = jobfs_interrupt_timeout_ms(fs);
		if (interrupts >= 0 && (timeout < 0 || timeout > interrupts))
			timeout = interrupts;
		pthread_mutex_unlock(&fs->lock);
		poll(waiting, array_length(waiting), timeout);
		pthread_mutex_lock(&fs->lock);
		if (fs->stopping)
			break;
		if (waiting[0].revents) {
			int got = fuse_session_receive_buf(fs->session, &buffer);
			if (got > 0)
				fuse_session_process_buf(fs->session, &buffer);
			else if (got < 0 && got != -EINTR && got != -EAGAIN)
				break;
		}
		askline_work(fs->line);
		jobfs_end_interrupted(fs);
	}
	if (!fs->stopping)
		log_info("the job's own /float was unmounted");
	pthread_mutex_unlock(&fs->lock);
	free(buffer.mem);
	return NULL;
}

/* The functions of jobfs.h; called from other threads. */

static int mount_session(struct jobfs *fs, const char *mountpoint, struct error *err)
{
	char *arguments[] = { "float", "-o", "allow_other,default_permissions,fsname=float,subtype=float" };
	struct fuse_args args = FUSE_ARGS_INIT(array_length(arguments), arguments);
	fs->session = fuse_session_new(&args, &jobfs_operations, sizeof(jobfs_operations), fs);
	fuse_opt_free_args(&args);
	if (!fs->session)
		return error_set(err, ENOMEM, "cannot make the job's own /float");
	if (fuse_session_mount(fs->session, mountpoint) != 0) {
		fuse_session_destroy(fs->session);
		fs->session = NULL;
		return error_set(err, EIO, "cannot mount the job's own /float at %s: is /dev/fuse there",
				 mountpoint);
	}
	int fd = fuse_session_fd(fs->session);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return 0;
}

static void free_parts(struct jobfs *fs)
{
	askline_free(fs->line);
	jobfs_end_parked(fs);
	if (fs->session) {
		fuse_session_unmount(fs->session);
		fuse_session_destroy(fs->session);
	}
	if (fs->wake_fd >= 0)
		close(fs->wake_fd);
	jobtree_free(fs->tree);
	pthread_mutex_destroy(&fs->lock);
	free(fs->sizes);
	free(fs->log_dir);
	free(fs);
}

int jobfs_start(const struct jobfs_config *config, struct jobfs **started, struct error *err)
{
	struct jobfs *fs = calloc(1, sizeof(*fs));
	if (!fs)
		abort();
	pthread_mutex_init(&fs->lock, NULL);
	fs->uid = config->uid;
	fs->gid = config->gid;
	fs->log_dir = format_string("%s", config->log_dir);
	fs->line = askline_new(config->socket, jobfs_on_answer, fs);
	fs->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fs->tree = jobtree_new(config->tree, config->id, config->log_path, err);
	int status = fs->tree ? 0 : -err->code;
	if (status == 0 && fs->wake_fd < 0)
		status = error_sys(err, errno, "cannot make the job's own /float");
	if (status == 0) {
		fs->sizes = reallocarray(NULL, fs->tree->count, sizeof(*fs->sizes));
		if (!fs->sizes)
			abort();
		for (size_t i = 0; i < fs->tree->count; i++)
			fs->sizes[i] = -1;
		status = mount_session(fs, config->mountpoint, err);
	}
	if (status == 0) {
		status = -pthread_create(&fs->thread, NULL, jobfs_main, fs);
		if (status < 0)
			error_sys(err, -status, "cannot serve the job's own /float");
	}
	if (status < 0) {
		free_parts(fs);
		return status;
	}
	*started = fs;
	return 0;
}

json_object *jobfs_hold(struct jobfs *fs)
{
	json_object *sizes = json_object_new_object();
	pthread_mutex_lock(&fs->lock);
	for (size_t i = 0; i < fs->tree->count; i++) {
		const struct jobtree_node *node = &fs->tree->nodes[i];
		if (jobfs_is_live(node) && jobfs_live_size(fs, node) >= 0)
			json_set_int(sizes, node->path, fs->sizes[i]);
	}
	fs->held = true;
	pthread_mutex_unlock(&fs->lock);
	return sizes;
}

void jobfs_hold_at(struct jobfs *fs, json_object *sizes)
{
	pthread_mutex_lock(&fs->lock);
	for (size_t i = 0; i < fs->tree->count; i++) {
		const struct jobtree_node *node = &fs->tree->nodes[i];
		if (jobfs_is_live(node))
			fs->sizes[i] = sizes ? json_get_int(sizes, node->path, -1) : fs->sizes[i];
	}
	fs->held = true;
	pthread_mutex_unlock(&fs->lock);
}

void jobfs_go_on(struct jobfs *fs)
{
	pthread_mutex_lock(&fs->lock);
	fs->held = false;
	pthread_mutex_unlock(&fs->lock);
}

void jobfs_stop(struct jobfs *fs)
{
	if (!fs)
		return;
	pthread_mutex_lock(&fs->lock);
	fs->stopping = true;
	pthread_mutex_unlock(&fs->lock);
	uint64_t one = 1;
	if (write(fs->wake_fd, &one, sizeof(one)) < 0)
		log_debug("jobfs: already awake");
	pthread_join(fs->thread, NULL);
	free_parts(fs);
}
