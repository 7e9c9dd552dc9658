#include "agent/cgroup_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/reserve.h"

/* Of the host's processes, and of the numbers for processes, that jobs on the same kernel share. */
enum { PIDS_PART = 4 };

/* ---- memory and processes ---- */

/* The number in a control file; INT64_MAX where there is none, or `max`. */
static int64_t read_limit(const char *directory, const char *file)
{
	autofree char *path = format_string("%s/%s", directory, file), *text = NULL;
	if (file_read(path, 64, &text, NULL) < 0 || text[0] < '0' || text[0] > '9')
		return INT64_MAX;
	return strtoll(text, NULL, 10);
}

static int write_limit(const char *place, const char *file, int64_t value)
{
	char text[32];
	autofree char *path = format_string("%s/%s", place, file);
	snprintf(text, sizeof(text), "%lld", (long long)value);
	return file_write(path, text);
}

static int64_t memory_limit(int64_t host)
{
	struct sysinfo machine;
	if (sysinfo(&machine) == 0 && (int64_t)machine.totalram * machine.mem_unit < host)
		host = (int64_t)machine.totalram * machine.mem_unit;
	return host - reserve_of_memory(host);
}

static int64_t pids_limit(int64_t host)
{
	int64_t machine = read_limit("/proc/sys/kernel", "pid_max");
	return (machine < host ? machine : host) / PIDS_PART;
}

static const struct {
	const char *controller; /* v1's name */
	const char *v1, *v2;    /* the file of the limit */
	const char *v1_swap;    /* of the one with swap, which may be missing */
	int64_t (*of_host)(int64_t host);
	/* Where it counts how often the limit was met, and the word before the number. */
	const char *v1_events, *v2_events, *word;
	const char *key; /* in an exit */
} limits[] = {
	{ "memory", "memory.limit_in_bytes", "memory.max", "memory.memsw.limit_in_bytes", memory_limit,
	  "memory.oom_control", "memory.events", "oom_kill ", "oom" },
	{ "pids", "pids.max", "pids.max", NULL, pids_limit, "pids.events", "pids.events", "max ", "pids" },
};

static void set_limit(size_t i)
{
	autofree char *v1 = cgroup_place(limits[i].controller);
	autofree char *v2 = v1 ? NULL : cgroup_place("unified");
	const char *place = v1 ? v1 : v2, *file = v1 ? limits[i].v1 : limits[i].v2;
	if (!place)
		return;
	autofree char *host = format_string("%s/..", place);
	int64_t value = limits[i].of_host(read_limit(host, file));
	int status = write_limit(place, file, value);
	if (status < 0)
		log_warning("the job's %s is limited by its host's only: %s", limits[i].controller,
			    strerror(-status));
	/* Swap may be off in the kernel. */
	if (v1 && limits[i].v1_swap && write_limit(place, limits[i].v1_swap, value) < 0)
		log_debug("there is no limit of memory with swap");
}

static bool was_met(size_t i)
{
	autofree char *v1 = cgroup_place(limits[i].controller);
	autofree char *v2 = v1 ? NULL : cgroup_place("unified");
	if (!v1 && !v2)
		return false;
	autofree char *path =
	    format_string("%s/%s", v1 ? v1 : v2, v1 ? limits[i].v1_events : limits[i].v2_events);
	autofree char *text = NULL, *lined = NULL;
	if (file_read(path, 4096, &text, NULL) < 0)
		return false;
	lined = format_string("\n%s", text);
	autofree char *word = format_string("\n%s", limits[i].word);
	const char *at = strstr(lined, word);
	return at && strtoll(at + strlen(word), NULL, 10) > 0;
}

void cgroup_note_limits(json_object *exit)
{
	for (size_t i = 0; i < array_length(limits); i++)
		if (was_met(i))
			json_set_bool(exit, limits[i].key, true);
}

/* ---- devices ---- */

enum { ANY_MINOR = -1 };

/* What layout.c puts into /dev, and the terminals of its /dev/pts. */
static const struct {
	int major, minor;
} devices[] = {
	{ 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 }, { 5, 0 }, { 5, 2 }, { 136, ANY_MINOR },
};

static int allow_by_files(const char *place)
{
	autofree char *deny = format_string("%s/devices.deny", place);
	autofree char *allow = format_string("%s/devices.allow", place);
	int status = file_write(deny, "a");
	for (size_t i = 0; status == 0 && i < array_length(devices); i++) {
		char minor[16] = "*", line[48];
		if (devices[i].minor != ANY_MINOR)
			snprintf(minor, sizeof(minor), "%d", devices[i].minor);
		snprintf(line, sizeof(line), "c %d:%s rwm", devices[i].major, minor);
		status = file_write(allow, line);
	}
	return status;
}

static int bpf(int command, union bpf_attr *attr)
{
	long result = syscall(SYS_bpf, command, attr, sizeof(*attr));
	return result < 0 ? -errno : (int)result;
}

#define LOAD(to, member)                                                                                     \
	((struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_W,                                               \
			    .dst_reg = (to),                                                                 \
			    .src_reg = BPF_REG_1,                                                            \
			    .off = offsetof(struct bpf_cgroup_dev_ctx, member) })
#define UNLESS_EQUAL(reg, value, skip)                                                                       \
	((struct bpf_insn){                                                                                  \
	    .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = (reg), .off = (skip), .imm = (value) })
#define SET(reg, value)                                                                                      \
	((struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (reg), .imm = (value) })
#define AND(reg, value)                                                                                      \
	((struct bpf_insn){ .code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = (reg), .imm = (value) })
#define END ((struct bpf_insn){ .code = BPF_JMP | BPF_EXIT })

/* v2 has no files for it: a program is asked about each open and mknod, and answers 1 or 0. */
static int allow_by_program(const char *place)
{
	struct bpf_insn code[8 + 4 * array_length(devices)];
	size_t count = 0;
	code[count++] = LOAD(BPF_REG_2, access_type);
	code[count++] = LOAD(BPF_REG_3, major);
	code[count++] = LOAD(BPF_REG_4, minor);
	/* The lower half is the type, the upper one what is wanted. */
	code[count++] = AND(BPF_REG_2, 0xffff);
	code[count++] = UNLESS_EQUAL(BPF_REG_2, BPF_DEVCG_DEV_CHAR, 4 * array_length(devices));
	for (size_t i = 0; i < array_length(devices); i++) {
		bool any = devices[i].minor == ANY_MINOR;
		code[count++] = UNLESS_EQUAL(BPF_REG_3, devices[i].major, 3);
		/* Any minor: register 3, which is the major. */
		code[count++] = any ? UNLESS_EQUAL(BPF_REG_3, devices[i].major, 2)
				    : UNLESS_EQUAL(BPF_REG_4, devices[i].minor, 2);
		code[count++] = SET(BPF_REG_0, 1);
		code[count++] = END;
	}
	code[count++] = SET(BPF_REG_0, 0);
	code[count++] = END;

	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE };
	load.insns = (uint64_t)(uintptr_t)code;
	load.insn_cnt = (uint32_t)count;
	load.license = (uint64_t)(uintptr_t) "GPL";
	autoclose int program = bpf(BPF_PROG_LOAD, &load);
	if (program < 0)
		return program;
	autoclose int group = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group < 0)
		return -errno;
	union bpf_attr attach = { .attach_type = BPF_CGROUP_DEVICE };
	attach.target_fd = (uint32_t)group;
	attach.attach_bpf_fd = (uint32_t)program;
	attach.attach_flags = BPF_F_ALLOW_MULTI;
	return bpf(BPF_PROG_ATTACH, &attach);
}

static void set_devices(void)
{
	autofree char *v1 = cgroup_place("devices"), *v2 = cgroup_place("unified");
	int status = -ENODEV;
	if (v1)
		status = allow_by_files(v1);
	else if (v2)
		status = allow_by_program(v2);
	if (status < 0)
		log_warning("the job's devices are not limited: %s", strerror(-status));
}

void cgroup_set_limits(void)
{
	for (size_t i = 0; i < array_length(limits); i++)
		set_limit(i);
	set_devices();
}
