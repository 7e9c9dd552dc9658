/* Mounting, serving, taking over. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/fuse_inside.h"
#include "fs/fuse_watch.h"
#include "fs/fuse_wire.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"

_Static_assert((int)TREE_MEANINGS == (int)HOLDER_MEANINGS, "every kind has a place in the page");

enum { WORKERS_MAX = 64, WORKERS_IDLE = 16 };

static void mask_signals(int how)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(how, &signals, NULL);
}

void fuse_mount_block_signals(void)
{
	mask_signals(SIG_BLOCK);
}

/* ---- a new mount ---- */

/* A daemon that was killed leaves a mount that answers ENOTCONN, and over which none can be made. */
static int clear_stale_mount(const char *mountpoint, struct error *err)
{
	struct statx st;
	/* Not what the kernel keeps: whether somebody answers. */
	if (statx(AT_FDCWD, mountpoint, AT_STATX_FORCE_SYNC, STATX_TYPE, &st) == 0)
		return S_ISDIR(st.stx_mode) ? 0
					    : error_set(err, ENOTDIR, "%s is not a directory", mountpoint);
	if (errno == ENOTCONN || errno == ECONNABORTED) {
		log_info("clearing the stale mount on %s", mountpoint);
		if (umount2(mountpoint, MNT_DETACH) == 0)
			return 0;
	}
	return error_sys(err, errno, "cannot mount on %s", mountpoint);
}

/* What the kernel knows of the mount is asked: nobody serves it yet. */
static int find_device(struct holder_page *page, struct error *err)
{
	struct statx st;
	if (statx(AT_FDCWD, page->mountpoint, AT_STATX_DONT_SYNC, 0, &st) < 0)
		return error_sys(err, errno, "cannot look at %s", page->mountpoint);
	page->device = makedev(st.stx_dev_major, st.stx_dev_minor);
	return 0;
}

/* A mount's own readahead is 128 KiB, and FUSE can only lower it. */
static void raise_readahead(dev_t device)
{
	autofree char *path =
	    format_string("/sys/class/bdi/%u:%u/read_ahead_kb", major(device), minor(device));
	autofree char *text = format_string("%d", FUSE_READAHEAD >> 10);
	int status = file_write(path, text);
	if (status < 0)
		log_info("%s: %s", path, strerror(-status));
}

/* mount(2), which a mount hides by its name. */
static int mount_on(const char *mountpoint, const char *data)
{
	return mount("floatfs", mountpoint, "fuse.floatfs", MS_NOSUID | MS_NODEV, data);
}

/*
 * As libfuse mounts for root, but the mount is ours to undo: libfuse would unmount whatever stands there later, when
 * a user's umount came first. The descriptor that serves it, or -errno.
 */
static int mount_anew(struct fuse_mount *mount, struct error *err)
{
	struct holder_page *page = holder_page(mount->holder);
	char data[120];
	int status = clear_stale_mount(mount->mountpoint, err);
	if (status < 0)
		return status;
	autoclose int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, errno, "cannot open /dev/fuse");
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions%s", fd,
		 mount->fs->options.private_mount ? "" : ",allow_other");
	if (mount_on(mount->mountpoint, data) < 0)
		return error_sys(err, errno, "cannot mount on %s", mount->mountpoint);
	status = find_device(page, err);
	if (status < 0) {
		umount2(mount->mountpoint, MNT_DETACH);
		return status;
	}
	raise_readahead((dev_t)page->device);
	mount->ends_with_us = true;
	return take_fd(fd);
}

/* From here on the mount outlives us. */
static int agree(struct fuse_mount *mount, struct error *err)
{
	struct holder_page *page = holder_page(mount->holder);
	struct error lost = { 0 };
	int status = fuse_wire_agree(mount->session, page, err);
	if (status < 0)
		return status;
	if (holder_is_there(mount->holder) && !fuse_wire_can_resend(page)) {
		log_info("this kernel does not send requests again: the mount ends with this floatfs");
		holder_end(mount->holder);
	}
	if (holder_give(mount->holder, fuse_session_fd(mount->session), &lost) < 0)
		log_warning("the mount ends with this floatfs: %s", lost.text);
	return 0;
}

/* ---- one that a floatfs left ---- */

static void wake(void *context, uint64_t poll)
{
	struct fuse_mount *mount = context;
	fuse_wire_wake(fuse_session_fd(mount->session), poll);
}

/* What was asked of the floatfs before us, and what it was to tell. */
static int take_over(struct fuse_mount *mount, struct error *err)
{
	fuse_polls_take(holder_page(mount->holder), wake, mount);
	int status = fuse_wire_resend(fuse_session_fd(mount->session));
	if (status < 0)
		return error_sys(err, -status, "the kernel does not send again what was asked of %s",
				 mount->mountpoint);
	log_info("the mount on %s is taken over", mount->mountpoint);
	return 0;
}

/* ---- both ---- */

/* As the kernel names it. It may have nobody who serves it: what is below it is not touched. */
static char *find_mountpoint(const char *path)
{
	autofree char *bare = strdup(path);
	size_t length = bare ? strlen(bare) : 0;
	while (length > 1 && bare[length - 1] == '/')
		bare[--length] = '\0';
	return bare ? realpath(bare, NULL) : NULL;
}

int fuse_mount_prepare(struct floatfs *fs, struct fuse_mount **out, struct error *err)
{
	autofree char *mountpoint = find_mountpoint(fs->options.mountpoint);
	if (!mountpoint)
		return error_sys(err, errno, "cannot mount on %s", fs->options.mountpoint);
	autofree char *log = fs->options.foreground ? NULL : format_string("%s/log", fs->options.state);
	uint32_t meanings[TREE_MEANINGS];
	tree_describe_kinds(meanings);
	struct holder_config config = { .state = fs->options.state,
					.mountpoint = mountpoint,
					.log = log,
					.seconds = fs->options.hold,
					.private_mount = fs->options.private_mount,
					.meanings = meanings };
	struct fuse_mount *mount = calloc(1, sizeof(*mount));
	if (!mount)
		return error_set(err, ENOMEM, "out of memory");
	int status = holder_open(&config, &mount->holder, err);
	if (status < 0) {
		free(mount);
		return status;
	}
	mount->fs = fs;
	mount->mountpoint = take_pointer(mountpoint);
	mount->polls = fuse_polls_new(holder_page(mount->holder));
	mount->files = handles_new();
	mount->directories = handles_new();
	*out = mount;
	return 0;
}

static int make_session(struct fuse_mount *mount, struct error *err)
{
	char *words[] = { (char *)"floatfs" };
	struct fuse_args args = FUSE_ARGS_INIT(array_length(words), words);
	mount->session = fuse_session_new(&args, &fuse_operations, sizeof(fuse_operations), mount);
	fuse_opt_free_args(&args);
	return mount->session ? 0 : error_set(err, EIO, "libfuse refused to start");
}

int fuse_mount_open(struct fuse_mount *mount, struct error *err)
{
	autoclose int device = holder_take_device(mount->holder);
	mount->taken_over = device >= 0;
	if (!mount->taken_over)
		device = mount_anew(mount, err);
	int status = device < 0 ? device : make_session(mount, err);
	if (status == 0)
		status = fuse_wire_attach(mount->session, device, err);
	if (status < 0)
		return status;
	(void)take_fd(device); /* the session's */
	struct holder_page *page = holder_page(mount->holder);
	if (mount->taken_over)
		fuse_wire_replay(mount->session, page);
	else
		status = agree(mount, err);
	if (status == 0)
		mount->through =
		    fuse_through_new(page, fuse_session_fd(mount->session), fuse_wire_can_pass(page));
	return status;
}

/* For the handler; libfuse has one too for the signals that it knows of. */
static struct fuse_session *restarting;
static volatile sig_atomic_t restart_asked;

static void on_restart(int signal)
{
	(void)signal;
	restart_asked = 1;
	fuse_session_exit(restarting);
}

/* A terminal's SIGHUP says that it is gone; and without a holder nothing is left to take over. */
static bool may_restart(const struct fuse_mount *mount)
{
	return holder_is_there(mount->holder) && !(mount->fs->options.foreground && isatty(STDERR_FILENO));
}

static int set_signal_handlers(struct fuse_mount *mount)
{
	struct sigaction action = { .sa_handler = on_restart };
	restarting = mount->session;
	/* libfuse takes a signal that nobody has taken. */
	if (may_restart(mount) && sigaction(SIGHUP, &action, NULL) < 0)
		return -errno;
	return fuse_set_signal_handlers(mount->session) == 0 ? 0 : -EIO;
}

/* What ended the loop: 0, a signal that libfuse knows of, or -errno. */
static int serve(struct fuse_mount *mount, struct error *err)
{
	struct fuse_watch *watch = NULL;
	int watched = fuse_watch_start(mount->mountpoint, &watch, err);
	if (watched < 0)
		return watched;
	holder_tell_serving(mount->holder);
	mount->ends_with_us = true;
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	fuse_loop_cfg_set_max_threads(config, WORKERS_MAX);
	fuse_loop_cfg_set_idle_threads(config, WORKERS_IDLE);
	mask_signals(SIG_UNBLOCK);
	int status = fuse_session_loop_mt(mount->session, config);
	fuse_mount_block_signals();
	fuse_loop_cfg_destroy(config);
	fuse_watch_stop(watch);
	return status < 0 ? error_sys(err, -status, "serving %s failed", mount->mountpoint) : status;
}

int fuse_mount_serve(struct fuse_mount *mount, struct error *err)
{
	int status = mount->taken_over ? take_over(mount, err) : 0;
	if (status < 0)
		return status;
	if (set_signal_handlers(mount) < 0)
		return error_set(err, EIO, "cannot set signal handlers");
	status = serve(mount, err);
	fuse_remove_signal_handlers(mount->session);
	mount->fs->leaving = status == 0 && restart_asked && fuse_watch_is_mounted(mount->mountpoint);
	return status < 0 ? status : 0;
}

static void unmount(struct fuse_mount *mount)
{
	if (fuse_watch_is_mounted(mount->mountpoint) && umount2(mount->mountpoint, MNT_DETACH) < 0)
		log_info("cannot unmount %s: %s", mount->mountpoint, strerror(errno));
	holder_end(mount->holder);
}

void fuse_mount_close(struct fuse_mount *mount)
{
	if (mount->ends_with_us && !mount->fs->leaving)
		unmount(mount);
	if (mount->session)
		fuse_session_destroy(mount->session);
	handles_free(mount->files, fuse_file_free);
	handles_free(mount->directories, fuse_dir_free);
	fuse_polls_free(mount->polls);
	fuse_through_free(mount->through);
	holder_close(mount->holder);
	free(mount->mountpoint);
	free(mount);
}
