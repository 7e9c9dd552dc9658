/*
 * Tries to get out of a job's container: escape LOG-DIRECTORY. Run by the job's script, or as it. A line for each way: `kept NAME: WHY` or `OUT NAME`. The exit
 * code is the number of those that led out.
 *
 * It runs as the job's user, be that root or not: what a way needs of it is tried anyway.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char why[512];

/* Each returns true when it led out; `why` says what stopped it. */
static bool kept(const char *format, ...)
{
	int code = errno;
	va_list arguments;
	va_start(arguments, format);
	int used = vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	snprintf(why + used, sizeof(why) - (size_t)used, ": %s", strerror(code));
	return false;
}

static bool out(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	return true;
}

/* ---- devices */

static bool read_device(const char *path, const char *name)
{
	char block[512];
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return kept("%s", name);
	bool got = read(fd, block, sizeof(block)) > 0;
	close(fd);
	return got ? out("read %s", name) : kept("opened %s, but it cannot be read", name);
}

static bool make_and_read(const char *name, mode_t type, dev_t device)
{
	static const char *const places[] = { "/tmp", "/dev/shm", "/var/log/float", "/data", "/" };
	bool led_out = false;
	for (size_t i = 0; i < COUNT(places) && !led_out; i++) {
		char path[64];
		snprintf(path, sizeof(path), "%s/node", places[i]);
		if (mknod(path, type | 0666, device) < 0) {
			kept("mknod %s in %s", name, places[i]);
			continue;
		}
		led_out = read_device(path, name);
		unlink(path);
	}
	return led_out;
}

/* Every block device that the kernel names, and the one that lies below a directory of ours. */
static bool try_block_devices(void)
{
	struct stat st;
	bool led_out = stat("/tmp", &st) == 0 && make_and_read("the own volume", S_IFBLK, st.st_dev);
	FILE *partitions = fopen("/proc/partitions", "r");
	char line[128], name[64];
	unsigned major, minor;
	while (!led_out && partitions && fgets(line, sizeof(line), partitions))
		if (sscanf(line, "%u %u %*u %63s", &major, &minor, name) == 3)
			led_out = make_and_read(name, S_IFBLK, makedev(major, minor));
	return led_out;
}

static bool try_character_devices(void)
{
	static const struct {
		const char *name;
		unsigned major, minor;
	} nodes[] = {
		{ "mem", 1, 1 },     { "kmem", 1, 2 },
		{ "port", 1, 4 },    { "kmsg", 1, 11 },
		{ "fuse", 10, 229 }, { "loop-control", 10, 237 },
		{ "kvm", 10, 232 },  { "btrfs-control", 10, 234 },
		{ "tun", 10, 200 },  { "console", 5, 1 },
	};
	for (size_t i = 0; i < COUNT(nodes); i++)
		if (make_and_read(nodes[i].name, S_IFCHR, makedev(nodes[i].major, nodes[i].minor)))
			return true;
	return false;
}

static bool try_nodes_that_are_there(void)
{
	static const char *const paths[] = { "/dev/mem",  "/dev/kmsg",    "/dev/loop0", "/dev/loop-control",
					     "/dev/fuse", "/dev/disk",    "/dev/vda",   "/dev/sda",
					     "/dev/kvm",  "/dev/net/tun", "/block",     "/memory" };
	for (size_t i = 0; i < COUNT(paths); i++)
		if (read_device(paths[i], paths[i]))
			return true;
	return false;
}

/* ---- mounts */

static bool mount_all(const char *how)
{
	static const struct {
		const char *source, *type, *options;
		unsigned long flags;
	} rows[] = {
		{ "proc", "proc", NULL, 0 },
		{ "sysfs", "sysfs", NULL, 0 },
		{ "cgroup", "cgroup2", NULL, 0 },
		{ "cgroup", "cgroup", "memory", 0 },
		{ "tmpfs", "tmpfs", NULL, 0 },
		{ "devtmpfs", "devtmpfs", NULL, 0 },
		{ "debugfs", "debugfs", NULL, 0 },
		{ "overlay", "overlay", "lowerdir=/,upperdir=/tmp/u,workdir=/tmp/w", 0 },
		{ "/", NULL, NULL, MS_BIND },
		{ "/dev/loop0", "btrfs", NULL, 0 },
	};
	mkdir("/tmp/at", 0755);
	mkdir("/tmp/u", 0755);
	mkdir("/tmp/w", 0755);
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (mount(rows[i].source, "/tmp/at", rows[i].type, rows[i].flags, rows[i].options) == 0)
			return out("%smounted %s", how, rows[i].type ? rows[i].type : "a bind");
		kept("%smount %s", how, rows[i].type ? rows[i].type : "a bind");
	}
	if (syscall(SYS_fsopen, "tmpfs", 0) >= 0)
		return out("%sopened a file system by fsopen", how);
	if (syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE) >= 0)
		return out("%scloned a tree by open_tree", how);
	return false;
}

static bool try_mount(void)
{
	return mount_all("");
}

static bool try_remount(void)
{
	static const char *const places[] = { "/proc/sys", "/sys", "/opt/memverge", "/dev",
					      "/proc/sysrq-trigger" };
	for (size_t i = 0; i < COUNT(places); i++) {
		if (mount(NULL, places[i], NULL, MS_REMOUNT | MS_BIND, NULL) == 0)
			return out("remounted %s writable", places[i]);
		kept("remount %s", places[i]);
		if (umount2(places[i], MNT_DETACH) == 0)
			return out("unmounted what lies on %s", places[i]);
	}
	return false;
}

/* In a child each: they change what they run in. */
static bool in_child(bool (*run)(void))
{
	int ends[2], how;
	if (pipe(ends) < 0)
		return out("no pipe");
	pid_t pid = fork();
	if (pid == 0) {
		bool led_out = run();
		bool told = write(ends[1], why, sizeof(why)) == (ssize_t)sizeof(why);
		_exit(led_out || !told);
	}
	close(ends[1]);
	if (pid < 0 || read(ends[0], why, sizeof(why)) != (ssize_t)sizeof(why) || waitpid(pid, &how, 0) < 0)
		return out("the child that tried told nothing");
	close(ends[0]);
	return how != 0;
}

static bool with_namespace(void)
{
	static const struct {
		const char *name;
		int flags;
	} kinds[] = {
		{ "user", CLONE_NEWUSER }, { "user and mount", CLONE_NEWUSER | CLONE_NEWNS },
		{ "mount", CLONE_NEWNS },  { "cgroup", CLONE_NEWCGROUP },
		{ "pid", CLONE_NEWPID },   { "net", CLONE_NEWNET },
		{ "ipc", CLONE_NEWIPC },
	};
	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (unshare(kinds[i].flags) == 0)
			return mount_all("in a namespace of its own, ") ||
			       out("made a %s namespace", kinds[i].name);
		kept("unshare %s", kinds[i].name);
	}
	return false;
}

static bool with_cloned_namespace(void)
{
	/* struct clone_args: what filters of clone's flags do not see. */
	struct {
		__u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	} arguments = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		return out("clone3 made a user namespace");
	kept("clone3");
	pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		_exit(0);
	return pid > 0 ? out("clone made a user namespace") : kept("clone");
}

static bool try_unshare(void)
{
	return in_child(with_namespace);
}

static bool try_clone(void)
{
	return in_child(with_cloned_namespace);
}

static bool try_setns(void)
{
	static const char *const names[] = { "mnt", "pid", "net", "user", "cgroup", "ipc", "uts" };
	for (size_t i = 0; i < COUNT(names); i++) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/1/ns/%s", names[i]);
		int fd = open(path, O_RDONLY);
		if (fd >= 0 && setns(fd, 0) == 0)
			return out("entered the %s namespace of process 1", names[i]);
		kept("setns %s", names[i]);
	}
	return false;
}

/* ---- what the kernel would do for root */

static bool can_write(const char *path)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return kept("open %s to write", path);
	close(fd);
	return out("opened %s to write", path);
}

static bool try_control_files(void)
{
	static const char *const paths[] = {
		"/proc/sys/kernel/core_pattern",
		"/proc/sys/kernel/modprobe",
		"/proc/sys/kernel/hostname",
		"/proc/sys/vm/drop_caches",
		"/proc/sys/vm/panic_on_oom",
		"/proc/sys/fs/pipe-max-size",
		"/proc/sys/net/ipv4/ip_forward",
		"/proc/sysrq-trigger",
		"/proc/irq/default_smp_affinity",
		"/proc/mtrr",
		"/proc/kcore",
		"/proc/kmsg",
		"/sys/kernel/uevent_helper",
		"/sys/kernel/mm/ksm/run",
		"/sys/power/state",
		"/sys/class/block/loop0/queue/read_ahead_kb",
		"/sys/fs/cgroup/memory/release_agent",
		"/sys/fs/cgroup/release_agent",
		"/sys/fs/cgroup/cgroup.procs",
		"/opt/memverge/bin/float",
	};
	for (size_t i = 0; i < COUNT(paths); i++)
		if (can_write(paths[i]))
			return true;
	return false;
}

static bool try_whole_proc(const char *top)
{
	DIR *dir = opendir(top);
	/* Files that are no process's: none of the machine's may be writable. Where no mode allows it, root's open
	 * succeeds all the same, but there is nothing to write to. */
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char path[512];
		struct stat st;
		snprintf(path, sizeof(path), "%s/%.200s", top, entry->d_name);
		if (entry->d_name[0] == '.' || (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') ||
		    !strcmp(entry->d_name, "self") || !strcmp(entry->d_name, "thread-self") ||
		    !strcmp(entry->d_name, "net") || !strcmp(entry->d_name, "pressure") ||
		    lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) ? strlen(path) < 400 && try_whole_proc(path)
					: S_ISREG(st.st_mode) && (st.st_mode & 0222) && can_write(path)) {
			closedir(dir);
			return true;
		}
	}
	if (dir)
		closedir(dir);
	return false;
}

static bool try_proc(void)
{
	return try_whole_proc("/proc");
}

static bool try_sys(void)
{
	return try_whole_proc("/sys");
}

static int answer_of(long result)
{
	return result < 0 ? errno : 0;
}

static bool try_system_calls(void)
{
	union bpf_attr map = {
		.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 4, .max_entries = 1
	};
	struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(event) };
	char name[] = "x";
	struct timeval now;
	gettimeofday(&now, NULL);
	const struct {
		const char *name;
		int answer;
	} calls[] = {
		{ "init_module", answer_of(syscall(SYS_init_module, name, 1, "")) },
		{ "delete_module", answer_of(syscall(SYS_delete_module, "no-such-module", O_NONBLOCK)) },
		{ "kexec_load", answer_of(syscall(SYS_kexec_load, 0, 0, NULL, 0)) },
		{ "bpf", answer_of(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map))) },
		{ "perf_event_open", answer_of(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0)) },
		{ "keyctl",
		  answer_of(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0)) },
		{ "add_key", answer_of(syscall(SYS_add_key, "user", "x", "x", 1, KEY_SPEC_USER_KEYRING)) },
		{ "request_key", answer_of(syscall(SYS_request_key, "user", "x", NULL, 0)) },
		{ "swapoff", answer_of(syscall(SYS_swapoff, "/")) },
		{ "acct", answer_of(syscall(SYS_acct, "/tmp/acct")) },
		{ "setdomainname", answer_of(syscall(SYS_setdomainname, "x", 1)) },
		{ "reboot",
		  answer_of(syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* Ctrl-Alt-Del: off */, NULL)) },
		{ "io_uring", answer_of(syscall(SYS_io_uring_setup, 1, NULL)) },
		{ "userfaultfd", answer_of(syscall(SYS_userfaultfd, O_CLOEXEC | 1)) },
		{ "syslog", answer_of(klogctl(3, name, 1)) },
#ifdef SYS_iopl
		{ "iopl", answer_of(syscall(SYS_iopl, 3)) },
		{ "ioperm", answer_of(syscall(SYS_ioperm, 0x70, 2, 1)) },
#endif
		{ "settimeofday", answer_of(settimeofday(&now, NULL)) },
		{ "setpriority", answer_of(setpriority(PRIO_PROCESS, 0, -20)) },
	};
	for (size_t i = 0; i < COUNT(calls); i++)
		if (calls[i].answer != EPERM && calls[i].answer != EACCES && calls[i].answer != ENOSYS)
			return out("%s (%s)", calls[i].name, strerror(calls[i].answer));
	return kept("%zu system calls", COUNT(calls));
}

static bool try_raw_network(void)
{
	if (socket(AF_PACKET, SOCK_RAW, 0) >= 0)
		return out("a packet socket");
	if (socket(AF_INET, SOCK_RAW, 1) >= 0)
		return out("a raw socket");
	return kept("raw sockets");
}

/* ---- file systems */

static bool try_handles(void)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} of;
	static const char *const places[] = { "/tmp", "/var/log/float", "/data", "/opt/memverge" };
	for (size_t i = 0; i < COUNT(places); i++) {
		int mount_id, dir = open(places[i], O_RDONLY | O_DIRECTORY);
		of.handle.handle_bytes = MAX_HANDLE_SZ;
		if (dir < 0 || name_to_handle_at(dir, "", &of.handle, &mount_id, AT_EMPTY_PATH) < 0) {
			kept("name_to_handle_at %s", places[i]);
			continue;
		}
		if (open_by_handle_at(dir, &of.handle, O_RDONLY) >= 0)
			return out("opened %s by its handle", places[i]);
		kept("open_by_handle_at %s", places[i]);
		close(dir);
	}
	return false;
}

static bool try_btrfs(void)
{
	static const char *const places[] = { "/tmp", "/var/log/float", "/data" };
	for (size_t i = 0; i < COUNT(places); i++) {
		int dir = open(places[i], O_RDONLY | O_DIRECTORY);
		if (dir < 0)
			continue;
		struct btrfs_ioctl_vol_args volume = { .name = "subvolume" };
		struct btrfs_ioctl_vol_args_v2 snapshot = { .fd = dir, .name = "snapshot" };
		struct btrfs_ioctl_search_args search = { .key = { .tree_id = BTRFS_ROOT_TREE_OBJECTID,
								   .max_objectid = -1ULL,
								   .max_offset = -1ULL,
								   .max_transid = -1ULL,
								   .max_type = -1U,
								   .nr_items = 10 } };
		struct btrfs_ioctl_ino_lookup_args lookup = { .treeid = BTRFS_FS_TREE_OBJECTID,
							      .objectid = BTRFS_FIRST_FREE_OBJECTID + 1 };
		__u64 top = BTRFS_FS_TREE_OBJECTID;
		const struct {
			const char *name;
			int result;
		} calls[] = {
			{ "made a subvolume", ioctl(dir, BTRFS_IOC_SUBVOL_CREATE, &volume) },
			{ "made a snapshot", ioctl(dir, BTRFS_IOC_SNAP_CREATE_V2, &snapshot) },
			{ "searched the trees", ioctl(dir, BTRFS_IOC_TREE_SEARCH, &search) },
			{ "looked up the top subvolume", ioctl(dir, BTRFS_IOC_INO_LOOKUP, &lookup) },
			{ "set the default subvolume", ioctl(dir, BTRFS_IOC_DEFAULT_SUBVOL, &top) },
			{ "resized it",
			  ioctl(dir, BTRFS_IOC_RESIZE, &(struct btrfs_ioctl_vol_args){ .name = "max" }) },
			{ "added a device", ioctl(dir, BTRFS_IOC_ADD_DEV,
						  &(struct btrfs_ioctl_vol_args){ .name = "/dev/loop0" }) },
		};
		for (size_t j = 0; j < COUNT(calls); j++) {
			if (calls[j].result == 0)
				return out("%s in %s", calls[j].name, places[i]);
			kept("%zu ioctls of btrfs in %s", COUNT(calls), places[i]);
		}
		close(dir);
	}
	return false;
}

/* Names that only a host has, by every way up that a process may know. */
static bool try_paths(void)
{
	static const char *const tops[] = {
		"",         "/proc/1/root",      "/proc/self/root/..", "/..",       "/proc/1/cwd", "/tmp/..",
		"/data/..", "/var/log/float/..", "/opt/memverge/..",   "/float/..", "/dev/.."
	};
	static const char *const names[] = { "/etc/float/enrolment.json",
					     "/var/lib/float-agent",
					     "/run/float",
					     "/usr/lib/float/float-agent",
					     "/run/criu.kdat",
					     "/job",
					     "/agent.key" };
	for (size_t i = 0; i < COUNT(tops); i++)
		for (size_t j = 0; j < COUNT(names); j++) {
			char path[128];
			snprintf(path, sizeof(path), "%s%s", tops[i], names[j]);
			if (access(path, F_OK) == 0)
				return out("sees %s", path);
		}
	return kept("%zu paths", COUNT(tops) * COUNT(names));
}

static bool climb(void)
{
	int above = open("/", O_RDONLY | O_DIRECTORY);
	mkdir("/tmp/jail", 0755);
	if (chroot("/tmp/jail") < 0)
		return kept("chroot");
	if (fchdir(above) < 0)
		return kept("fchdir");
	for (int i = 0; i < 64; i++)
		if (chdir("..") < 0)
			break;
	if (chroot(".") < 0)
		return kept("chroot");
	return access("/usr/lib/float/float-agent", F_OK) == 0 || access("/run/float", F_OK) == 0
		   ? out("climbed to the host's root")
		   : kept("climbed to its own root only");
}

static bool try_chroot(void)
{
	return in_child(climb);
}

/* ---- processes */

/* Those that it sees are its own: with PID 1 it has the same user, and nothing above. */
static bool try_processes(void)
{
	DIR *proc = opendir("/proc");
	for (struct dirent *entry; proc && (entry = readdir(proc));) {
		char path[300], name[64] = "";
		snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		FILE *comm = fopen(path, "r");
		if (comm && !fgets(name, sizeof(name), comm))
			name[0] = '\0';
		if (comm)
			fclose(comm);
		if (strstr(name, "float-agent") || strstr(name, "float-keeper") ||
		    strstr(name, "float-init") || strstr(name, "criu"))
			return out("sees the process %s", name);
	}
	if (getsid(0) != 2 || getpid() == 1)
		return out("is not of the script's session");
	for (int pid = 3; pid < 32768; pid++) {
		if (pid == getpid() || getpgid(pid) == getpgid(0))
			continue;
		if (kill(pid, 0) == 0 || errno == EPERM)
			return out("reaches process %d", pid);
		if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0)
			return out("traces process %d", pid);
	}
	return kept("kill and ptrace of 32768 processes");
}

static bool try_sockets(void)
{
	static const char *const paths[] = { "/run/float/jobs", "/run/dbus/system_bus_socket",
					     "/run/systemd/private" };
	char line[512];
	for (size_t i = 0; i < COUNT(paths); i++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", paths[i]);
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return out("connected to %s", paths[i]);
		kept("connect %s", paths[i]);
		close(fd);
	}
	/* Those of the keeper show by their names; abstract ones could be connected to. */
	FILE *unix_sockets = fopen("/proc/net/unix", "r");
	while (unix_sockets && fgets(line, sizeof(line), unix_sockets))
		if (strchr(line, '@'))
			return out("sees an abstract socket: %s", line);
	return false;
}

static bool try_set_user(void)
{
	if (getuid() != 0 && (setuid(0) == 0 || setresuid(0, 0, 0) == 0))
		return out("became root");
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	unsigned long long bounding = ~0ULL, no_new = 0;
	while (status && fgets(line, sizeof(line), status)) {
		sscanf(line, "CapBnd: %llx", &bounding);
		sscanf(line, "NoNewPrivs: %llu", &no_new);
	}
	/* CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT */
	unsigned long long allowed = getuid() == 0 ? 0x405fb : 0;
	if (bounding & ~allowed)
		return out("has the capabilities %llx", bounding);
	return no_new ? kept("capabilities %llx", bounding) : out("may gain privileges by exec");
}

static const struct {
	const char *name;
	bool (*run)(void);
} ways[] = {
	{ "processes", try_processes },
	{ "block devices", try_block_devices },
	{ "character devices", try_character_devices },
	{ "device nodes", try_nodes_that_are_there },
	{ "mount", try_mount },
	{ "remount", try_remount },
	{ "unshare", try_unshare },
	{ "clone", try_clone },
	{ "setns", try_setns },
	{ "control files", try_control_files },
	{ "/proc", try_proc },
	{ "/sys", try_sys },
	{ "system calls", try_system_calls },
	{ "raw network", try_raw_network },
	{ "file handles", try_handles },
	{ "btrfs", try_btrfs },
	{ "paths", try_paths },
	{ "chroot", try_chroot },
	{ "sockets", try_sockets },
	{ "users", try_set_user },
};

int main(void)
{
	int failed = 0;
	setvbuf(stdout, NULL, _IONBF, 0);
	printf("as user %u\n", (unsigned)getuid());
	for (size_t i = 0; i < COUNT(ways); i++) {
		snprintf(why, sizeof(why), "nothing to try");
		errno = 0;
		bool led_out = ways[i].run();
		printf("%s %s: %s\n", led_out ? "OUT" : "kept", ways[i].name, why);
		failed += led_out;
	}
	printf("ways out: %d\n", failed);
	return failed;
}
