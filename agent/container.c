#include "agent/container.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/init/init.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/log.h"

#define CAPABILITY(number) (UINT64_C(1) << (number))

/* What a root of a job may: its own files, users and processes. Nothing about the machine. */
static const uint64_t root_capabilities =
    CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_FSETID) |
    CAPABILITY(CAP_KILL) | CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SETPCAP) |
    CAPABILITY(CAP_NET_BIND_SERVICE) | CAPABILITY(CAP_SYS_CHROOT);

/* Of the container's own /proc: what root could write to change the machine. */
static const char *const read_only_proc[] = {
	"/proc/sys",  "/proc/sysrq-trigger", "/proc/irq",  "/proc/bus",    "/proc/fs",
	"/proc/mtrr", "/proc/acpi",          "/proc/scsi", "/proc/asound", "/proc/dynamic_debug",
};

/* The stages of the child, for the sentence about the one that failed. */
enum stage {
	STAGE_CGROUP,
	STAGE_MOUNTS,
	STAGE_ROOT,
	STAGE_PROC,
	STAGE_BINDS,
	STAGE_HOSTNAME,
	STAGE_RIGHTS,
	STAGE_STREAMS,
	STAGE_INIT,
	STAGE_SCRIPT, /* init's */
};

static const char *const stage_sentences[] = {
	[STAGE_CGROUP] = "cannot move the job to its cgroup",
	[STAGE_MOUNTS] = "cannot take the job's directories to its mount namespace",
	[STAGE_ROOT] = "cannot enter the job's root",
	[STAGE_PROC] = "cannot mount the job's /proc, /sys or /dev/pts",
	[STAGE_BINDS] = "cannot mount the job's directories in its root",
	[STAGE_HOSTNAME] = "cannot set the job's host name",
	[STAGE_RIGHTS] = "cannot give up the rights that the job does not have",
	[STAGE_STREAMS] = "cannot open the job's stdout.autosave and stderr.autosave",
	[STAGE_INIT] = "cannot execute the container's first process",
	[STAGE_SCRIPT] = "cannot execute the job's script",
};

/* What the child writes to its parent before it gives up; init writes the code alone. */
struct failure {
	int stage;
	int code;
};

/*
 * All that the child needs, made before it is cloned: the keeper has threads, so between the clone and the
 * exec the child makes system calls only (no malloc, no stdio, no C library wrappers that lock).
 */
struct plan {
	const struct layout *layout;
	char *root;
	char *stdout_path;
	char *stderr_path;
	char **argv;
	char **envp;
	struct sock_filter *filter;
	unsigned short filter_length;
	int cgroups[CGROUP_HIERARCHIES_MAX];
	int cgroup_count;
	int report; /* the error pipe */
};

/* ---- in the child ---- */

static __attribute__((noreturn)) void give_up(const struct plan *plan, enum stage stage)
{
	struct failure failure = { stage, errno };
	ssize_t done = write(plan->report, &failure, sizeof(failure));
	_exit(done == sizeof(failure) ? 126 : 127);
}

int container_enter_cgroup(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		if (write(fds[i], "0", 1) != 1)
			return -errno;
	return unshare(CLONE_NEWCGROUP) < 0 ? -errno : 0;
}

static bool take_binds(const struct layout *layout, int *fds)
{
	for (size_t i = 0; i < layout->count; i++) {
		const struct layout_bind *bind = &layout->binds[i];
		struct mount_attr attr = { .attr_set = bind->flags };
		fds[i] = open_tree(AT_FDCWD, bind->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (fds[i] < 0 || mount_setattr(fds[i], "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
			return false;
	}
	return true;
}

static bool enter_root(const struct plan *plan)
{
	/* The old root is stacked over the new one by pivot_root(".", ".") and taken away again. */
	return chdir(plan->root) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
	       umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

static bool mount_proc(void)
{
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ||
	    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) < 0)
		return false;
	for (size_t i = 0; i < array_length(read_only_proc); i++) {
		const char *path = read_only_proc[i];
		if (mount(path, path, NULL, MS_BIND, NULL) < 0) {
			if (errno == ENOENT)
				continue;
			return false;
		}
		if (mount(NULL, path, NULL,
			  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
			return false;
	}
	return true;
}

static bool place_binds(const struct layout *layout, const int *fds)
{
	for (size_t i = 0; i < layout->count; i++)
		if (move_mount(fds[i], "", AT_FDCWD, layout->binds[i].target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return false;
	return mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		     "newinstance,ptmxmode=0666,mode=0620,gid=5") == 0;
}

static bool set_capabilities(uint64_t wanted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)wanted, .permitted = (uint32_t)wanted },
		{ .effective = (uint32_t)(wanted >> 32), .permitted = (uint32_t)(wanted >> 32) },
	};
	return syscall(SYS_capset, &header, data) == 0;
}

static bool drop_rights(const struct plan *plan)
{
	const struct spec *spec = plan->layout->spec;
	uint64_t wanted = spec->uid == 0 ? root_capabilities : 0;
	gid_t gid = spec->gid;

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(wanted & CAPABILITY(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return false;
	/*
	 * The raw calls: the C library's would signal threads that this process does not have. No new
	 * privileges: without capabilities in the bounding set a set-user-ID program of the image could do no
	 * good anyway.
	 */
	if (syscall(SYS_setgroups, 1, &gid) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
	    syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) < 0 || !set_capabilities(wanted) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return false;
	struct sock_fprog program = { .len = plan->filter_length, .filter = plan->filter };
	/* Changing the user made it undumpable, which would make its own /proc files root's. */
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

static bool open_streams(const struct plan *plan)
{
	const char *const paths[] = { "/dev/null", plan->stdout_path, plan->stderr_path };
	for (int i = 0; i < 3; i++) {
		int fd = open(paths[i], i == 0 ? O_RDONLY : O_WRONLY | O_APPEND);
		if (fd < 0 || (fd != i && dup2(fd, i) < 0))
			return false;
		if (fd > 2)
			close(fd);
	}
	return true;
}

static void reset_signals(void)
{
	sigset_t none;
	struct sigaction action = { .sa_handler = SIG_DFL };
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static __attribute__((noreturn)) void child(const struct plan *plan)
{
	const struct layout *layout = plan->layout;
	int binds[LAYOUT_BINDS_MAX];

	reset_signals();
	umask(022);
	if (setsid() < 0 || container_enter_cgroup(plan->cgroups, plan->cgroup_count) < 0)
		give_up(plan, STAGE_CGROUP);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !take_binds(layout, binds))
		give_up(plan, STAGE_MOUNTS);
	if (!enter_root(plan))
		give_up(plan, STAGE_ROOT);
	if (!mount_proc())
		give_up(plan, STAGE_PROC);
	if (!place_binds(layout, binds))
		give_up(plan, STAGE_BINDS);
	if (sethostname(layout->spec->hostname, strlen(layout->spec->hostname)) < 0)
		give_up(plan, STAGE_HOSTNAME);
	if (!drop_rights(plan))
		give_up(plan, STAGE_RIGHTS);
	if (!open_streams(plan))
		give_up(plan, STAGE_STREAMS);
	/* criu must find nothing of the host's among the job's descriptors: init closes the one that is left.
	 */
	struct plan last = *plan;
	last.report = INIT_REPORT_FD;
	if ((plan->report == INIT_REPORT_FD ? fcntl(INIT_REPORT_FD, F_SETFD, 0)
					    : dup2(plan->report, INIT_REPORT_FD)) < 0 ||
	    syscall(SYS_close_range, INIT_REPORT_FD + 1U, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		give_up(plan, STAGE_STREAMS);
	execve(LAYOUT_INIT, plan->argv, plan->envp);
	give_up(&last, STAGE_INIT);
}

/* ---- in the keeper ---- */

/* Linux 6.3; headers may be older. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif

/*
 * What capabilities do not keep a job from. Not there at all: what criu cannot carry or would drop without a word, which
 * programs do without; clone3, whose flags a filter cannot see (the C library then uses clone). Refused: what knows no
 * namespace (keys, the kernel's log, the machine's counters); user namespaces, in which everyone has
 * every capability; and subvolumes of the job's own, which no snapshot of its volume would hold.
 */
static const struct {
	int call;
	int answer;
	int argument; /* the one that is compared, or -1 */
	uint64_t mask, value;
} refused[] = {
	{ SCMP_SYS(io_uring_setup), ENOSYS, -1, 0, 0 },
	{ SCMP_SYS(io_uring_enter), ENOSYS, -1, 0, 0 },
	{ SCMP_SYS(io_uring_register), ENOSYS, -1, 0, 0 },
	{ SCMP_SYS(userfaultfd), ENOSYS, -1, 0, 0 },
	{ SCMP_SYS(memfd_secret), ENOSYS, -1, 0, 0 },
	{ SCMP_SYS(landlock_create_ruleset), ENOSYS, -1, 0, 0 },
	{ SCMP_SYS(landlock_restrict_self), ENOSYS, -1, 0, 0 },
	{ SCMP_SYS(fcntl), EINVAL, 1, UINT32_MAX, F_NOTIFY },
	{ SCMP_SYS(fcntl64), EINVAL, 1, UINT32_MAX, F_NOTIFY },
	{ SCMP_SYS(prctl), EINVAL, 0, UINT32_MAX, PR_SET_MDWE },
	{ SCMP_SYS(mq_open), ENOSYS, -1, 0, 0 },
	{ SCMP_SYS(mq_unlink), ENOSYS, -1, 0, 0 },
	{ SCMP_SYS(clone3), ENOSYS, -1, 0, 0 },
	{ SCMP_SYS(clone), EPERM, 0, CLONE_NEWUSER, CLONE_NEWUSER },
	{ SCMP_SYS(unshare), EPERM, 0, CLONE_NEWUSER, CLONE_NEWUSER },
	{ SCMP_SYS(add_key), EPERM, -1, 0, 0 },
	{ SCMP_SYS(keyctl), EPERM, -1, 0, 0 },
	{ SCMP_SYS(request_key), EPERM, -1, 0, 0 },
	{ SCMP_SYS(bpf), EPERM, -1, 0, 0 },
	{ SCMP_SYS(perf_event_open), EPERM, -1, 0, 0 },
	{ SCMP_SYS(syslog), EPERM, -1, 0, 0 },
	{ SCMP_SYS(open_by_handle_at), EPERM, -1, 0, 0 },
	{ SCMP_SYS(ioctl), ENOTTY, 1, UINT32_MAX, BTRFS_IOC_SUBVOL_CREATE },
	{ SCMP_SYS(ioctl), ENOTTY, 1, UINT32_MAX, BTRFS_IOC_SUBVOL_CREATE_V2 },
	{ SCMP_SYS(ioctl), ENOTTY, 1, UINT32_MAX, BTRFS_IOC_SNAP_CREATE },
	{ SCMP_SYS(ioctl), ENOTTY, 1, UINT32_MAX, BTRFS_IOC_SNAP_CREATE_V2 },
};

/* The other machine that this one's processes may be: its calls have numbers of their own. */
static int add_other_architecture(scmp_filter_ctx filter)
{
	if (seccomp_arch_native() != SCMP_ARCH_X86_64)
		return 0;
	int status = seccomp_arch_add(filter, SCMP_ARCH_X86);
	return status == -EEXIST ? 0 : status;
}

static int add_rules(scmp_filter_ctx filter)
{
	int status = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (status == 0)
		status = add_other_architecture(filter);
	for (size_t i = 0; status == 0 && i < array_length(refused); i++) {
		struct scmp_arg_cmp compared = {
			.arg = refused[i].argument < 0 ? 0 : (unsigned)refused[i].argument,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = refused[i].mask,
			.datum_b = refused[i].value,
		};
		status = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((uint16_t)refused[i].answer),
						refused[i].call, refused[i].argument >= 0, &compared);
	}
	return status;
}

static int make_filter(struct plan *plan, struct error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return error_set(err, ENOMEM, "out of memory");
	int status = add_rules(filter);
	autoclose int fd = memfd_create("filter", MFD_CLOEXEC);
	struct stat st;
	if (status == 0)
		status = fd < 0 ? -errno : seccomp_export_bpf(filter, fd);
	seccomp_release(filter);
	if (status == 0 && fstat(fd, &st) < 0)
		status = -errno;
	if (status == 0) {
		plan->filter = malloc((size_t)st.st_size);
		plan->filter_length = (unsigned short)((size_t)st.st_size / sizeof(*plan->filter));
		if (!plan->filter || pread(fd, plan->filter, (size_t)st.st_size, 0) != st.st_size)
			status = -EIO;
	}
	return status < 0 ? error_sys(err, -status, "cannot make the job's system call filter") : 0;
}

static size_t length_of(json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

static char **make_arguments(const struct spec *spec)
{
	size_t count = length_of(spec->args);
	char **argv = calloc(count + 4, sizeof(*argv));
	if (!argv)
		abort();
	argv[0] = format_string("%s", LAYOUT_INIT);
	argv[1] = format_string("%s", LAYOUT_SCRIPT);
	argv[2] = format_string("%s", spec->log);
	for (size_t i = 0; i < count; i++)
		argv[i + 3] =
		    format_string("%s", json_object_get_string(json_object_array_get_idx(spec->args, i)));
	return argv;
}

/* The spec's word replaces ours of the same name. */
static bool names_same(const char *word, const char *other)
{
	size_t length = strcspn(word, "=");
	return strncmp(word, other, length + 1) == 0;
}

static void put_word(char **words, size_t *count, char *word)
{
	for (size_t i = 0; i < *count; i++)
		if (names_same(word, words[i])) {
			free(words[i]);
			words[i] = word;
			return;
		}
	words[(*count)++] = word;
}

static char **make_environment(const struct spec *spec)
{
	size_t count = 0, given = length_of(spec->env);
	char **envp = calloc(given + 16, sizeof(*envp));
	if (!envp)
		abort();
	put_word(envp, &count,
		 format_string("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
	put_word(envp, &count, format_string("HOME=%s", spec->uid == 0 ? "/root" : "/tmp"));
	put_word(envp, &count, format_string("HOSTNAME=%s", spec->hostname));
	put_word(envp, &count, format_string("FLOAT_JOB_ID=%s", spec->id));
	put_word(envp, &count, format_string("FLOAT_LOG_PATH=%s", spec->log));
	put_word(envp, &count, format_string("FLOAT_JOB_PATH=/var/lib/float"));
	put_word(envp, &count, format_string("FLOAT_ADDR=%s", spec->address ? spec->address : "127.0.0.1"));
	put_word(envp, &count, format_string("FLOAT_USER=%s", spec->uid == 0 ? "root" : "user"));
	put_word(envp, &count, format_string("FLOAT_USER_ID=%u", spec->uid));
	put_word(envp, &count, format_string("FLOAT_MOUNT=/float"));
	for (size_t i = 0; i < given; i++)
		put_word(
		    envp, &count,
		    format_string("%s", json_object_get_string(json_object_array_get_idx(spec->env, i))));
	return envp;
}

static void free_words(char **words)
{
	for (char **word = words; word && *word; word++)
		free(*word);
	free(words);
}

static void free_plan(struct plan *plan)
{
	free(plan->root);
	free(plan->stdout_path);
	free(plan->stderr_path);
	free_words(plan->argv);
	free_words(plan->envp);
	free(plan->filter);
	cgroup_close(plan->cgroups, plan->cgroup_count);
}

/* The script's first line, without its end; "" where there is none. */
static void read_first_line(const struct layout *layout, char *line, int size)
{
	autofree char *path = layout_path(layout, "root" LAYOUT_SCRIPT);
	autofclose FILE *file = fopen(path, "re");
	if (!file || !fgets(line, size, file))
		*line = '\0';
	line[strcspn(line, "\r\n")] = '\0';
}

static int explain_script(const struct layout *layout, int code, struct error *err)
{
	char line[256];
	read_first_line(layout, line, sizeof(line));
	bool binary = memcmp(line, "\177ELF", 4) == 0, named = strncmp(line, "#!", 2) == 0;
	const char *interpreter = named ? line + 2 + strspn(line + 2, " \t") : "";
	int length = (int)strcspn(interpreter, " \t");
	if (code == ENOEXEC && binary)
		return error_set(err, ENOEXEC,
				 "the job's script cannot be executed: it is a program for other machines "
				 "than this, or damaged");
	if (code == ENOEXEC)
		return error_set(
		    err, ENOEXEC,
		    "the job's script cannot be executed: let its first line be like #!/bin/bash");
	if (code == ENOENT || code == ENOTDIR)
		return error_set(err, ENOEXEC, "the job's script cannot be executed: the image has no %.*s",
				 length ? length : INT_MAX,
				 length ? interpreter : "dynamic loader for it: link it statically");
	return error_sys(err, code, "the job's script cannot be executed%s%.*s", length ? " by " : "", length,
			 interpreter);
}

static int explain(const struct layout *layout, const struct failure *failure, struct error *err)
{
	if (failure->stage == STAGE_SCRIPT)
		return explain_script(layout, failure->code, err);
	return error_sys(err, failure->code, "%s", stage_sentences[failure->stage]);
}

/* Wait until the script runs, or something failed. */
static int await_script(const struct layout *layout, int reader, struct error *err)
{
	struct failure failure = { 0 };
	ssize_t got;
	do
		got = read(reader, &failure, sizeof(failure));
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return 0;
	if (got == sizeof(int))
		failure = (struct failure){ STAGE_SCRIPT, failure.stage };
	else if (got != sizeof(failure))
		return error_set(err, EIO, "the job's first process ended before the script was started");
	return explain(layout, &failure, err);
}

int container_start(const struct layout *layout, pid_t *pid, struct error *err)
{
	__attribute__((cleanup(free_plan))) struct plan plan = {
		.layout = layout,
		.root = layout_path(layout, "root"),
		.stdout_path = format_string("%s/stdout.autosave", layout->spec->log),
		.stderr_path = format_string("%s/stderr.autosave", layout->spec->log),
		.argv = make_arguments(layout->spec),
		.envp = make_environment(layout->spec),
	};
	int ends[2];
	int status = make_filter(&plan, err);
	if (status == 0)
		status = cgroup_open(plan.cgroups, err);
	if (status < 0)
		return status;
	plan.cgroup_count = status;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_sys(err, errno, "cannot make a pipe");
	autoclose int reader = ends[0];
	plan.report = ends[1];

	unsigned long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
	long cloned = syscall(SYS_clone, flags, NULL, NULL, NULL, 0);
	if (cloned == 0)
		child(&plan);
	int code = errno;
	close(ends[1]);
	if (cloned < 0)
		return error_sys(err, code, "cannot make the job's namespaces");

	status = await_script(layout, reader, err);
	if (status == 0)
		*pid = (pid_t)cloned;
	else
		waitpid((pid_t)cloned, NULL, 0);
	return status;
}

/* ---- in the keeper, of one that runs ---- */

/* The number behind a key of /proc/PID/status, the last one of its line; -1: none. */
static int last_number(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	int number = -1;
	for (at = at ? at + strlen(key) : "\n"; *at && *at != '\n'; at += strcspn(at, "\t\n")) {
		at += strspn(at, "\t");
		number = (int)strtol(at, NULL, 10);
	}
	return number;
}

/* The script as this namespace knows it: init's child with that process id within; 0: there is none. */
static pid_t find_script(pid_t init)
{
	autofree char *path = format_string("/proc/%d/task/%d/children", (int)init, (int)init);
	autofclose FILE *file = fopen(path, "re");
	for (int pid; file && fscanf(file, "%d", &pid) == 1;) {
		autofree char *status = format_string("/proc/%d/status", pid), *text = NULL;
		if (file_read(status, 65536, &text, NULL) == 0 &&
		    last_number(text, "\nNSpid:") == INIT_SCRIPT_PID)
			return pid;
	}
	return 0;
}

int container_signal(pid_t init, int signal)
{
	pid_t script = find_script(init);
	/* Init may be about to end too. */
	return script == 0 || kill(script, signal) == 0 || errno == ESRCH ? 0 : -errno;
}

void container_stop(pid_t init)
{
	static const int signals[] = { SIGTERM, SIGCONT };
	pid_t script = find_script(init);
	for (size_t i = 0; script > 0 && i < array_length(signals); i++)
		if (kill(-script, signals[i]) < 0 && errno != ESRCH)
			log_warning("the job's processes cannot be sent signal %d: %s", signals[i],
				    strerror(errno));
}

bool container_peek(pid_t init, struct container_end *end)
{
	siginfo_t info = { 0 };
	char comm[32] = "";
	*end = (struct container_end){ 0 };
	if (waitid(P_PID, (id_t)init, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return errno == ECHILD;
	if (info.si_pid != init)
		return false;
	autofree char *path = format_string("/proc/%d/comm", (int)init), *text = NULL;
	if (file_read(path, 64, &text, NULL) == 0)
		snprintf(comm, sizeof(comm), "%.*s", (int)strcspn(text, "\n"), text);
	if (info.si_code == CLD_EXITED && strcmp(comm, INIT_KILLED) != 0)
		end->code = info.si_status;
	else
		end->signal = info.si_status;
	end->init_killed = info.si_code != CLD_EXITED;
	return true;
}

bool container_reap(pid_t init, struct container_end *end)
{
	if (!container_peek(init, end))
		return false;
	waitpid(init, NULL, 0);
	return true;
}
