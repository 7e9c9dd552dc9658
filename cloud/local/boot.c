/*
 * float-local-boot HOSTDIR: makes a host of the local provider out of what floatfs has laid down in HOSTDIR.
 *
 * It leaves a process behind, the monitor, that is a child of nobody: it stays in floatfs's network
 * namespace, and so keeps it while floatfs is away; it is the parent of the host's first process; and it
 * holds the lock of HOSTDIR as long as the host lives. It returns when the host's first program has been
 * started, else its last line of stderr says why not.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cloud/local/net.h"
#include "cloud/local/process.h"
#include "lib/cleanup.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"

static int do_mount(const char *source, const char *target, const char *type, unsigned long flags,
		    const char *options, struct error *err)
{
	if (mount(source, target, type, flags, options) < 0)
		return error_sys(err, errno, "cannot mount %s on %s", type ? type : source, target);
	return 0;
}

static int make_directory(const char *path)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* In the host directory: names in mount options are relative to it, so its path may hold any character. */
static int enter_root(json_object *config, struct error *err)
{
	/* Nothing that is mounted here is seen by the machine, or the other way round. */
	int status = do_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL, err);
	if (status == 0)
		status = do_mount(json_get_string(config, "machine", ""), "machine", "squashfs",
				  MS_RDONLY | MS_NODEV, NULL, err);
	if (status == 0)
		status = do_mount(json_get_string(config, "agent", ""), "agent", "squashfs",
				  MS_RDONLY | MS_NODEV, NULL, err);
	/* volatile: a host's root is never used again after the host, so nothing of it need be synced. */
	if (status == 0)
		status = do_mount("overlay", "root", "overlay", 0,
				  "lowerdir=agent:machine,upperdir=upper,workdir=work,volatile", err);
	if (status < 0)
		return status;
	if (chdir("root") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
	    chdir("/") < 0)
		return error_sys(err, errno, "cannot change to the host's root");
	return 0;
}

static int make_dev(struct error *err)
{
	static const struct {
		const char *name;
		unsigned int major, minor;
	} nodes[] = {
		{ "null", 1, 3 },    { "zero", 1, 5 }, { "full", 1, 7 },    { "random", 1, 8 },
		{ "urandom", 1, 9 }, { "tty", 5, 0 },  { "fuse", 10, 229 },
	};
	static const struct {
		const char *name, *target;
	} links[] = {
		{ "ptmx", "pts/ptmx" },          { "fd", "/proc/self/fd" },
		{ "stdin", "/proc/self/fd/0" },  { "stdout", "/proc/self/fd/1" },
		{ "stderr", "/proc/self/fd/2" },
	};
	static const char *const directories[] = { "/dev/pts", "/dev/shm", "/dev/disk", "/dev/disk/by-id" };

	int status = do_mount("dev", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=4m", err);
	if (status < 0)
		return status;
	for (size_t i = 0; i < array_length(nodes); i++) {
		autofree char *path = format_string("/dev/%s", nodes[i].name);
		if (mknod(path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) < 0)
			return error_sys(err, errno, "cannot make %s", path);
	}
	for (size_t i = 0; i < array_length(links); i++) {
		autofree char *path = format_string("/dev/%s", links[i].name);
		if (symlink(links[i].target, path) < 0)
			return error_sys(err, errno, "cannot make %s", path);
	}
	for (size_t i = 0; i < array_length(directories); i++)
		if ((status = make_directory(directories[i])) < 0)
			return error_sys(err, -status, "cannot make %s", directories[i]);
	return 0;
}

/* Join the host's groups, then make them the root of what it sees. */
static int enter_cgroups(json_object *groups, struct error *err)
{
	for (size_t i = 0; i < json_object_array_length(groups); i++) {
		json_object *group = json_object_array_get_idx(groups, i);
		autofree char *procs = format_string("%s/cgroup.procs", json_get_string(group, "path", ""));
		int status = file_write(procs, "0");
		if (status < 0)
			return error_sys(err, -status, "cannot write %s", procs);
	}
	if (unshare(CLONE_NEWCGROUP) < 0)
		return error_sys(err, errno, "cannot make a control group namespace");
	return 0;
}

/*
 * A v2 group with controllers for its children has no processes of its own: the host's system moves to a
 * child, and the agent can make others beside it.
 */
static int open_v2_group(const char *path, const char *controllers, struct error *err)
{
	autofree char *system = format_string("%s/system", path);
	autofree char *procs = format_string("%s/cgroup.procs", system);
	autofree char *control = format_string("%s/cgroup.subtree_control", path);
	int status = make_directory(system);
	if (status == 0)
		status = file_write(procs, "0");
	autofree char *words = strdup(controllers);
	char *rest = words, *word;
	while (status == 0 && (word = strsep(&rest, ","))) {
		autofree char *plus = format_string("+%s", word);
		if (*word)
			status = file_write(control, plus);
	}
	return status < 0 ? error_sys(err, -status, "cannot set up the control group %s", path) : 0;
}

static int mount_cgroups(json_object *groups, struct error *err)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	int status = do_mount("sysfs", "/sys", "sysfs", flags | MS_RDONLY, NULL, err);
	size_t count = json_object_array_length(groups);
	bool only_v2 = count == 1 && json_get_bool(json_object_array_get_idx(groups, 0), "v2", false);
	if (status == 0 && !only_v2)
		status = do_mount("cgroup", "/sys/fs/cgroup", "tmpfs", flags, "mode=755,size=1m", err);
	for (size_t i = 0; status == 0 && i < count; i++) {
		json_object *group = json_object_array_get_idx(groups, i);
		const char *at = json_get_string(group, "at", ""),
			   *options = json_get_string(group, "options", "");
		bool v2 = json_get_bool(group, "v2", false);
		autofree char *path = format_string("/sys/fs/cgroup%s%s", *at ? "/" : "", at);
		if (*at && (status = make_directory(path)) < 0)
			return error_sys(err, -status, "cannot make %s", path);
		status = do_mount("cgroup", path, v2 ? "cgroup2" : "cgroup", flags, v2 ? NULL : options, err);
		if (status == 0 && v2)
			status = open_v2_group(path, options, err);
		/* Controllers that share a hierarchy are found by each one's name. */
		if (status == 0 && !v2 && strchr(at, ',')) {
			autofree char *words = strdup(at);
			char *rest = words, *word;
			while ((word = strsep(&rest, ","))) {
				autofree char *link = format_string("/sys/fs/cgroup/%s", word);
				if (symlink(at, link) < 0)
					return error_sys(err, errno, "cannot make %s", link);
			}
		}
	}
	return status;
}

/* What no host needs and what would reach the machine itself. */
static int drop_capabilities(struct error *err)
{
	static const int dropped[] = { CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_MAC_ADMIN, CAP_MAC_OVERRIDE };
	for (size_t i = 0; i < array_length(dropped); i++)
		if (prctl(PR_CAPBSET_DROP, dropped[i], 0, 0, 0) < 0)
			return error_sys(err, errno, "cannot drop a capability");
	return 0;
}

/* The host's first process. Returns only when something failed. go says that the network is there. */
static int host_main(json_object *config, int go, struct error *err)
{
	json_object *groups = json_get_array(config, "cgroups");
	umask(0);
	int status = enter_cgroups(groups, err);
	if (status == 0)
		status = enter_root(config, err);
	if (status == 0)
		status = make_dev(err);
	if (status == 0)
		status = mount_cgroups(groups, err);
	if (status < 0)
		return status;
	char byte;
	if (read(go, &byte, 1) != 1)
		return error_set(err, ECANCELED, "the host's start was given up");
	status = net_up("lo", NULL, err);
	if (status == 0)
		status = net_up("eth0", json_get_string(config, "address", ""), err);
	const char *gateway = json_get_string(config, "gateway", NULL);
	if (status == 0 && gateway)
		status = net_default_route(gateway, err);
	if (status == 0)
		status = drop_capabilities(err);
	if (status < 0)
		return status;
	char *const argv[] = { "float-init", NULL };
	char *const environment[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				      "HOME=/root", "LC_ALL=C.UTF-8", NULL };
	execve("/usr/lib/float/float-init", argv, environment);
	return error_sys(err, errno, "cannot run /usr/lib/float/float-init of the agent layer");
}

/* By this floatfs finds the host again; not synced, for no process outlives the machine. */
static int write_record(pid_t init, struct error *err)
{
	long long init_start, monitor_start;
	int status = process_start_time(init, &init_start);
	if (status == 0)
		status = process_start_time(getpid(), &monitor_start);
	autofree char *boot_id = NULL;
	if (status == 0)
		status = file_read("/proc/sys/kernel/random/boot_id", 64, &boot_id, NULL);
	if (status < 0)
		return error_sys(err, -status, "cannot read the start time of a process");
	boot_id[strcspn(boot_id, "\n")] = '\0';
	autofree char *text = format_string(
	    "{\"boot_id\":\"%s\",\"init\":%d,\"init_start\":%lld,\"monitor\":%d,\"monitor_start\":%lld}\n",
	    boot_id, (int)init, init_start, (int)getpid(), monitor_start);
	autoclose int fd = open("running.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0 ||
	    rename("running.json.new", "running.json") < 0)
		return error_sys(err, errno, "cannot write the host's record");
	return 0;
}

static pid_t clone_process(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

/* Start the host; its first process once it runs float-init. */
static int start_host(json_object *config, pid_t *init, struct error *err)
{
	int go[2], failed[2];
	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0)
		return error_sys(err, errno, "cannot make a pipe");
	*init = clone_process(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET);
	if (*init < 0)
		return error_sys(err, errno, "cannot make the host's namespaces");
	if (*init == 0) {
		close(go[1]);
		host_main(config, go[0], err);
		if (file_write_all(failed[1], err, sizeof(*err)) < 0)
			_exit(2);
		_exit(1);
	}
	close(go[0]);
	close(failed[1]);
	int status = net_pair_create(json_get_string(config, "interface", ""), *init,
				     json_get_string(config, "address", ""), err);
	if (status == 0)
		status = write_record(*init, err);
	if (status == 0 && write(go[1], "", 1) != 1)
		status = error_sys(err, errno, "cannot start the host");
	close(go[1]);
	/* The descriptor closes when float-init is executed. An error of the host's own says more than ours.
	 */
	struct error theirs;
	if (read(failed[0], &theirs, sizeof(theirs)) == sizeof(theirs) &&
	    (status == 0 || theirs.code != ECANCELED)) {
		*err = theirs;
		status = -theirs.code;
	}
	close(failed[0]);
	return status;
}

static void __attribute__((noreturn)) monitor_main(json_object *config, int report)
{
	struct error err = { 0 };
	pid_t init = -1;
	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	const char *own_group = json_get_string(config, "monitor_cgroup", NULL);
	if (own_group && file_write(own_group, "0") < 0)
		log_info("the monitor stays in floatfs's own control group");
	int status = start_host(config, &init, &err);
	if (status < 0 && file_write_all(report, &err, sizeof(err)) < 0)
		log_error("%s", err.text);
	close(report);
	if (status < 0) {
		if (init > 0)
			kill(init, SIGKILL);
		_exit(1);
	}
	/* Its loss would cost floatfs its network. Not allowed everywhere: then it takes its chance. */
	if (chdir("/") < 0 || file_write("/proc/self/oom_score_adj", "-900") < 0)
		log_info("the monitor is not protected when memory runs out");
	int how = 0;
	while (waitpid(init, &how, 0) < 0 && errno == EINTR)
		;
	log_info("the host has ended: %s %d", WIFSIGNALED(how) ? "signal" : "exit status",
		 WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
	_exit(0);
}

/* Nothing of floatfs's but 0, 1 and 2; those become the console. */
static int detach_descriptors(struct error *err)
{
	autoclose int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	autoclose int console = open("console", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (null < 0 || console < 0 || dup2(null, 0) < 0 || dup2(console, 1) < 0 || dup2(console, 2) < 0)
		return error_sys(err, errno, "cannot open the host's console");
	return 0;
}

static int boot(const char *directory, struct error *err)
{
	if (chdir(directory) < 0)
		return error_sys(err, errno, "cannot change to %s", directory);
	/* Whoever removes the directory holds this lock; what is removed already must not come to life. */
	int lock = open("lock", O_RDWR | O_CLOEXEC);
	struct stat st;
	if (lock < 0 || flock(lock, LOCK_EX) < 0 || fstat(lock, &st) < 0)
		return error_sys(err, errno, "cannot lock %s", directory);
	if (st.st_nlink == 0)
		return error_set(err, ENOENT, "the host has been removed");
	autojson json_object *config = NULL;
	int status = json_read_file("boot.json", &config, err);
	if (status < 0)
		return status;
	if (!json_get_array(config, "cgroups"))
		return error_set(err, EBADMSG, "%s/boot.json does not say the control groups", directory);

	int report[2];
	if (pipe2(report, O_CLOEXEC) < 0)
		return error_sys(err, errno, "cannot make a pipe");
	pid_t monitor = fork();
	if (monitor < 0)
		return error_sys(err, errno, "cannot start a process");
	if (monitor == 0) {
		close(report[0]);
		if (detach_descriptors(err) < 0) {
			if (file_write_all(report[1], err, sizeof(*err)) < 0)
				_exit(2);
			_exit(1);
		}
		monitor_main(config, report[1]);
	}
	close(report[1]);
	if (read(report[0], err, sizeof(*err)) == sizeof(*err))
		return -err->code;
	if (waitpid(monitor, NULL, WNOHANG) == monitor)
		return error_set(err, ECHILD, "the host ended while it was started; see %s/console",
				 directory);
	return 0;
}

int main(int argc, char **argv)
{
	log_open("float-local-boot", LOG_INFO);
	struct error err = { 0 };
	if (argc != 2)
		error_set(&err, EINVAL, "usage: float-local-boot HOSTDIR; floatfs runs it");
	else
		boot(argv[1], &err);
	if (err.code)
		fprintf(stderr, "%s\n", err.text);
	return err.code ? 1 : 0;
}
