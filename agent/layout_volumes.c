/* The layout's volumes: found, claimed, mounted and let go of side by side, a thread a device. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "agent/layout_inside.h"
#include "agent/subvolume.h"
#include "agent/volume.h"
#include "lib/cleanup.h"
#include "lib/file.h"

struct mount_row {
	const char *subvolume;
	char *directory;
};

/* One device and what is mounted of it: the work of one thread. */
struct device_task {
	const char *serial;
	struct mount_row mounts[2];
	size_t count;
	bool read_only;
	int (*run)(struct device_task *task, struct error *err);
	int timeout_ms;
	struct error err;
	int status;
	pthread_t thread;
};

struct device_tasks {
	size_t count;
	struct device_task task[SPEC_DATA_MAX + 2];
};

static void free_tasks(struct device_tasks *tasks)
{
	for (size_t i = 0; i < tasks->count; i++)
		for (size_t j = 0; j < tasks->task[i].count; j++)
			free(tasks->task[i].mounts[j].directory);
}

#define autotasks __attribute__((cleanup(free_tasks)))

static void list_tasks(struct layout *layout, struct device_tasks *tasks, bool with_process)
{
	memset(tasks, 0, sizeof(*tasks));
	tasks->task[tasks->count++] = (struct device_task){
		.serial = layout->spec->work,
		.mounts = { { "root", layout_path(layout, "work") }, { "log", layout_path(layout, "log") } },
		.count = 2,
	};
	for (size_t i = 0; i < layout->spec->data_count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "data-%zu", i);
		tasks->task[tasks->count++] = (struct device_task){
			.serial = layout->spec->data[i].volume,
			.mounts = { { "data", layout_path(layout, name) } },
			.count = 1,
		};
	}
	if (with_process && layout->spec->process)
		tasks->task[tasks->count++] = (struct device_task){
			.serial = layout->spec->process,
			.mounts = { { NULL, layout_path(layout, "process") } },
			.count = 1,
		};
}

static void *task_main(void *argument)
{
	struct device_task *task = argument;
	task->status = task->run(task, &task->err);
	return NULL;
}

/* All of them run, whatever happens to one; the first error is told. */
static int run_tasks(struct device_tasks *tasks, int (*run)(struct device_task *, struct error *),
		     int timeout_ms, struct error *err)
{
	bool started[array_length(tasks->task)] = { false };
	for (size_t i = 0; i < tasks->count; i++) {
		tasks->task[i].run = run;
		tasks->task[i].timeout_ms = timeout_ms;
		if (i + 1 < tasks->count)
			started[i] =
			    pthread_create(&tasks->task[i].thread, NULL, task_main, &tasks->task[i]) == 0;
		if (!started[i])
			task_main(&tasks->task[i]);
	}
	int status = 0;
	for (size_t i = 0; i < tasks->count; i++) {
		if (started[i])
			pthread_join(tasks->task[i].thread, NULL);
		if (status == 0 && tasks->task[i].status < 0) {
			status = tasks->task[i].status;
			if (err)
				*err = tasks->task[i].err;
		}
	}
	return status;
}

static int format_device(struct device_task *task, struct error *err)
{
	autofree char *device = NULL;
	if (layout_is_mounted(task->mounts[0].directory))
		return 0;
	int status = volume_find(task->serial, task->timeout_ms, &device, err);
	if (status == 0)
		status = volume_claim(device, task->timeout_ms, err);
	return status < 0 ? status : volume_format(device, err);
}

static int furnish_device(struct device_task *task, struct error *err)
{
	autoclose int top = -1;
	if (layout_is_mounted(task->mounts[0].directory))
		return 0;
	int status = subvolume_open_top(task->serial, task->timeout_ms, &top, err);
	for (size_t i = 0; status == 0 && i < task->count; i++)
		status = subvolume_make(top, task->mounts[i].subvolume, err);
	return status;
}

static int claim_device(struct device_task *task, struct error *err)
{
	autofree char *device = NULL;
	if (layout_is_mounted(task->mounts[0].directory))
		return 0;
	int status = volume_find(task->serial, task->timeout_ms, &device, err);
	return status < 0 ? status : volume_claim(device, task->timeout_ms, err);
}

static int mount_device(struct device_task *task, struct error *err)
{
	autofree char *device = NULL;
	int status = volume_find(task->serial, 0, &device, err);
	for (size_t i = 0; status == 0 && i < task->count; i++)
		if (!layout_is_mounted(task->mounts[i].directory))
			status = volume_mount(device, task->mounts[i].subvolume, task->mounts[i].directory,
					      task->read_only, err);
	return status;
}

static int unmount_device(struct device_task *task, struct error *err)
{
	int status = 0;
	for (size_t i = task->count; i-- > 0;) {
		int one =
		    volume_unmount(task->mounts[i].directory, task->timeout_ms, status == 0 ? err : NULL);
		if (status == 0)
			status = one;
	}
	return status;
}

static int release_device(struct device_task *task, struct error *err)
{
	autofree char *device = NULL;
	int status = unmount_device(task, err);
	if (status == 0)
		status = volume_find(task->serial, 0, &device, err);
	/* Other mount namespaces (a task that is just going) let go a moment later. */
	return status < 0 ? status : volume_claim(device, task->timeout_ms, err);
}

static int sync_device(struct device_task *task, struct error *err)
{
	return volume_sync(task->mounts[0].directory, err);
}

static int all_devices(struct layout *layout, bool with_process,
		       int (*run)(struct device_task *, struct error *), int timeout_ms, struct error *err)
{
	autotasks struct device_tasks tasks;
	list_tasks(layout, &tasks, with_process);
	for (size_t i = 0; i < tasks.count; i++)
		tasks.task[i].read_only = layout->read_only;
	return run_tasks(&tasks, run, timeout_ms, err);
}

int layout_format(struct layout *layout, int timeout_ms, struct error *err)
{
	return all_devices(layout, false, format_device, timeout_ms, err);
}

int layout_make_subvolumes(struct layout *layout, int timeout_ms, struct error *err)
{
	return all_devices(layout, false, furnish_device, timeout_ms, err);
}

int layout_claim_volumes(struct layout *layout, bool with_process, int timeout_ms, struct error *err)
{
	return all_devices(layout, with_process, claim_device, timeout_ms, err);
}

int layout_mount_volumes(struct layout *layout, bool with_process, struct error *err)
{
	return all_devices(layout, with_process, mount_device, 0, err);
}

int layout_sync_volumes(struct layout *layout, struct error *err)
{
	return all_devices(layout, false, sync_device, 0, err);
}

int layout_release_volumes(struct layout *layout, int timeout_ms, struct error *err)
{
	autofree char *root = layout_path(layout, "root");
	int status = volume_unmount(root, timeout_ms, err);
	return status < 0 ? status : all_devices(layout, true, release_device, timeout_ms, err);
}

int layout_show_log(struct layout *layout, struct error *err)
{
	autofree char *directory = layout_path(layout, "log"), *device = NULL;
	int status = volume_find(layout->spec->work, 0, &device, err);
	return status < 0 ? status : volume_mount(device, "log", directory, true, err);
}

int layout_hide_log(struct layout *layout, int timeout_ms, struct error *err)
{
	autofree char *directory = layout_path(layout, "log");
	return volume_unmount(directory, timeout_ms, err);
}

bool layout_shows_log(const struct layout *layout)
{
	autofree char *directory = layout_path(layout, "log");
	return layout_is_mounted(directory);
}

int layout_mount_process(struct layout *layout, int timeout_ms, struct error *err)
{
	autofree char *directory = layout_path(layout, "process"), *device = NULL;
	if (!layout->spec->process)
		return error_set(
		    err, ENOENT,
		    "the job has no volume for its process image: attach one and name it in `process`");
	if (layout_is_mounted(directory))
		return 0;
	int status = volume_find(layout->spec->process, timeout_ms, &device, err);
	if (status == 0)
		status = volume_claim(device, timeout_ms, err);
	if (status == 0)
		status = volume_format(device, err);
	return status < 0 ? status : volume_mount(device, NULL, directory, false, err);
}

int layout_unmount_process(struct layout *layout, int timeout_ms, struct error *err)
{
	autofree char *directory = layout_path(layout, "process");
	return volume_unmount(directory, timeout_ms, err);
}

int layout_unmount_all(struct layout *layout, int timeout_ms, struct error *err)
{
	autofree char *root = layout_path(layout, "root"), *image = layout_path(layout, "image"),
		      *dev = layout_path(layout, "dev"), *tree = layout_path(layout, "float");
	int status = volume_unmount(root, timeout_ms, err);
	int volumes = all_devices(layout, true, unmount_device, timeout_ms, status == 0 ? err : NULL);
	const char *const rest[] = { image, dev };
	if (status == 0)
		status = volumes;
	/* The keeper took its /float away, unless it was killed: then the mount is a dead one. */
	umount2(tree, MNT_DETACH);
	for (size_t i = 0; i < array_length(rest); i++) {
		int one = volume_unmount(rest[i], timeout_ms, status == 0 ? err : NULL);
		if (status == 0)
			status = one;
	}
	return status;
}
