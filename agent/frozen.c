#include "agent/frozen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/criu_image.h"
#include "agent/faults.h"
#include "agent/keeper_client.h"
#include "agent/snapshots.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"

enum {
	DEFAULT_DEADLINE_MS = 60000,
	KEEPER_MARGIN_MS = 30000, /* the keeper answers after its own time limit, a little late at worst */
	RESTORE_TIMEOUT_MS = 60000,
	DEVICE_WAIT_MS = 20000,
	RELEASE_MIN_MS = 2000,
	RELEASE_MAX_MS = 10000, /* who holds a volume for longer does not let it go: the job goes on here */
	/*
	 * A dump refused for what passes by itself is tried again, after pauses that double. What counts is the time that
	 * the job had for it, within reason: on a busy host the tries themselves take seconds.
	 */
	PATIENCE_MS = 10000,
	PATIENCE_IN_ALL_MS = 20000,
	PAUSE_FIRST_MS = 20,
	PAUSE_LAST_MS = 1000,
};

static int left_ms(const struct frozen *frozen)
{
	int64_t left = frozen->deadline - clock_monotonic_ms();
	return left > 0 ? (int)left : 0;
}

/* ---- steps ---- */

struct step {
	const char *name;
	int (*run)(struct frozen *frozen, struct error *err);
	int (*undo)(struct frozen *frozen, struct error *err);
};

static int run_step(struct frozen *frozen, const struct step *step, struct error *err)
{
	int64_t begun = clock_monotonic_ns();
	int status = 0;
	if (frozen->aborted(frozen->job))
		status = error_set(err, ECANCELED, "aborted");
	else
		status = faults_strike(frozen->faults, step->name, frozen->layout->directory, err);
	if (status == 0)
		status = step->run(frozen, err);
	json_object *entry = json_object_new_object();
	json_set_string(entry, "name", step->name);
	json_set_int(entry, "ns", clock_monotonic_ns() - begun);
	json_object_array_add(frozen->steps, entry);
	return status;
}

/* May the steps begun still be undone? Not when another host may have the job. */
static void undo_steps(struct frozen *frozen, const struct step *steps, size_t begun)
{
	for (size_t i = begun; i-- > 0 && !frozen->handed;) {
		struct error err = { 0 };
		if (steps[i].undo && steps[i].undo(frozen, &err) < 0)
			log_error("job %s: cannot undo %s: %s", frozen->id, steps[i].name, err.text);
	}
}

static int run_steps(struct frozen *frozen, const struct step *steps, size_t count, struct error *err)
{
	if (frozen->deadline_ms <= 0)
		frozen->deadline_ms = DEFAULT_DEADLINE_MS;
	frozen->deadline = clock_monotonic_ms() + frozen->deadline_ms;
	if (!frozen->steps)
		frozen->steps = json_object_new_array();
	for (size_t i = 0; i < count; i++) {
		int status = run_step(frozen, &steps[i], err);
		if (status < 0) {
			undo_steps(frozen, steps, i + 1);
			return status;
		}
	}
	return 0;
}

/* ---- both sides ---- */

static int restore_here(struct frozen *frozen, struct error *err)
{
	autojson json_object *fields = json_object_new_object(), *reply = NULL;
	json_set_int(fields, "timeout_ms", RESTORE_TIMEOUT_MS);
	/* Of an earlier time; what only stood for a snapshot has its connections still. */
	json_set_bool(fields, "cut", frozen->snapshot && !frozen->gone);
	json_set_bool(fields, "once", !frozen->snapshot);
	int status = keeper_call(frozen->layout->directory, "restore", fields,
				 RESTORE_TIMEOUT_MS + KEEPER_MARGIN_MS, &reply, err);
	if (status < 0)
		return status;
	frozen->thaw_ns = json_get_int(reply, "thaw_ns", 0);
	frozen->closed += json_get_int(reply, "closed", 0);
	return 0;
}

/* The log's watcher is back, and the image is not needed while the job runs. */
static void settle_here(struct frozen *frozen)
{
	struct error err = { 0 };
	if (faults_strike(frozen->faults, "settle", frozen->layout->directory, &err) < 0)
		log_warning("job %s: %s", frozen->id, err.text);
	autofree char *log = layout_path(frozen->layout, "log");
	frozen->hooks->logs_open(frozen->context, frozen->id, log);
	if (layout_unmount_process(frozen->layout, RELEASE_MIN_MS, &err) < 0)
		log_warning("job %s: %s", frozen->id, err.text);
}

/* ---- A ---- */

static int sync_volumes(struct frozen *frozen, struct error *err)
{
	return layout_sync_volumes(frozen->layout, err);
}

static int mount_process(struct frozen *frozen, struct error *err)
{
	return layout_mount_process(frozen->layout, DEVICE_WAIT_MS, err);
}

static int unmount_process(struct frozen *frozen, struct error *err)
{
	/* Where the job could not be taken up again, the image stays on the volume; it is let go of like the
	 * others. */
	return layout_unmount_process(frozen->layout, RELEASE_MIN_MS, err);
}

static int warm_peer(struct frozen *frozen, struct error *err)
{
	return frozen->hooks->warm_peer(frozen->context, frozen->to, frozen->id, err);
}

static int try_dump(struct frozen *frozen, struct error *err)
{
	autojson json_object *fields = json_object_new_object(), *reply = NULL;
	/* The deadline is that of the frozen part: it begins here. */
	frozen->deadline = clock_monotonic_ms() + frozen->deadline_ms;
	json_set_int(fields, "timeout_ms", frozen->deadline_ms);
	json_set_bool(fields, "stays", frozen->snapshot != NULL);
	int status = keeper_call(frozen->layout->directory, "dump", fields,
				 frozen->deadline_ms + KEEPER_MARGIN_MS, &reply, err);
	/* Of each try: the job may have made new ones since the last. */
	frozen->closed += json_get_int(reply, "closed", 0);
	if (status < 0) {
		/* Whatever was answered, what counts is whether the tasks are there. */
		autojson json_object *now = NULL;
		frozen->gone = keeper_call(frozen->layout->directory, "state", NULL, KEEPER_MARGIN_MS, &now,
					   NULL) == 0 &&
			       json_get_int(now, "pid", 0) == 0 && !json_get_object(now, "exit");
		return status;
	}
	frozen->gone = true;
	frozen->freeze_ns = json_get_int(reply, "freeze_ns", 0);
	frozen->dumped_ns = clock_now_ns();
	return 0;
}

/* False when somebody wants the job to stay. */
static bool pause_for(const struct frozen *frozen, int64_t ms)
{
	int64_t until = clock_monotonic_ms() + ms;
	while (!frozen->aborted(frozen->job)) {
		if (clock_monotonic_ms() >= until)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_FIRST_MS * 1000000 / 2 }, NULL);
	}
	return false;
}

/* The job runs between the tries: what passes by itself needs it to. */
static int dump(struct frozen *frozen, struct error *err)
{
	int64_t begun = clock_monotonic_ms(), pause = PAUSE_FIRST_MS, paused = 0;
	for (int tries = 1;; tries++) {
		int64_t tried = clock_monotonic_ms();
		int status = try_dump(frozen, err);
		if (status == 0 && tries > 1)
			frozen->waited_ns = (tried - begun) * 1000000;
		if (status != -EAGAIN || frozen->gone)
			return status;
		frozen->waited_for = *err;
		if (paused + pause > PATIENCE_MS || clock_monotonic_ms() - begun > PATIENCE_IN_ALL_MS)
			return error_set(err, EIO, "%s; it was tried %d times in %lld s",
					 frozen->waited_for.text, tries,
					 (long long)(clock_monotonic_ms() - begun + 500) / 1000);
		log_info("job %s: %s; trying again in %lld ms", frozen->id, err->text, (long long)pause);
		if (!pause_for(frozen, pause))
			return error_set(err, ECANCELED, "aborted");
		paused += pause;
		pause = 2 * pause < PAUSE_LAST_MS ? 2 * pause : PAUSE_LAST_MS;
	}
}

/* After a complete dump its tasks are dead: to undo it is to restore it here. */
static int undo_dump(struct frozen *frozen, struct error *err)
{
	if (!frozen->gone)
		return 0;
	int status = restore_here(frozen, err);
	if (status < 0)
		return status;
	frozen->gone = false;
	settle_here(frozen);
	return 0;
}

static int close_logs(struct frozen *frozen, struct error *err)
{
	(void)err;
	frozen->hooks->logs_close(frozen->context, frozen->id);
	return 0;
}

static int release(struct frozen *frozen, struct error *err)
{
	int left = left_ms(frozen);
	int patience = left < RELEASE_MIN_MS ? RELEASE_MIN_MS : left > RELEASE_MAX_MS ? RELEASE_MAX_MS : left;
	int status = layout_release_volumes(frozen->layout, patience, err);
	if (status < 0)
		return status;
	frozen->released_ns = clock_now_ns();
	return left_ms(frozen) > 0
		   ? 0
		   : error_set(err, ETIMEDOUT, "the frozen section took longer than its deadline");
}

static int mount_again(struct frozen *frozen, struct error *err)
{
	if (!frozen->gone)
		return 0;
	int status = layout_mount_volumes(frozen->layout, true, err);
	return status == 0 ? layout_mount_root(frozen->layout, err) : status;
}

static int hand_over(struct frozen *frozen, struct error *err)
{
	autojson json_object *body = json_object_new_object();
	if (frozen->faults)
		json_object_object_add(body, "faults", json_object_get(frozen->faults));
	int status = frozen->handing_over(frozen->job);
	if (status == -ECANCELED)
		return error_set(err, ECANCELED, "aborted");
	if (status < 0)
		return error_sys(err, -status, "cannot record that the job is handed over");
	frozen->handed = true;
	status = frozen->hooks->adopt_peer(frozen->context, frozen->to, frozen->id, frozen->epoch, body,
					   &frozen->adopt, err);
	/* These two say that the request was never sent: the job is still ours. */
	if (status == -ECONNREFUSED || status == -EHOSTUNREACH)
		frozen->handed = false;
	return status;
}

static const struct step leave_steps[] = {
	/* The job runs. */
	{ "sync", sync_volumes, NULL },
	{ "process", mount_process, unmount_process },
	{ "warm", warm_peer, NULL },
	/* The job stands. */
	{ "dump", dump, undo_dump },
	{ "logs", close_logs, NULL },
	{ "release", release, mount_again },
	{ "hand", hand_over, NULL },
};

/* To nowhere: no peer is warmed and nothing is handed over. */
static const struct step suspend_steps[] = {
	{ "sync", sync_volumes, NULL },      { "process", mount_process, unmount_process },
	{ "dump", dump, undo_dump },         { "logs", close_logs, NULL },
	{ "release", release, mount_again },
};

/* It could not be undone: what is left is the image. Whoever takes it up needs the volumes free. */
static void let_go(struct frozen *frozen)
{
	struct error err = { 0 };
	if (layout_release_volumes(frozen->layout, RELEASE_MIN_MS, &err) < 0)
		log_error("job %s: %s", frozen->id, err.text);
}

int frozen_leave(struct frozen *frozen, struct error *err)
{
	int status = frozen->to ? run_steps(frozen, leave_steps, array_length(leave_steps), err)
				: run_steps(frozen, suspend_steps, array_length(suspend_steps), err);
	if (status < 0 && frozen->gone && !frozen->handed)
		let_go(frozen);
	return status;
}

/* ---- a snapshot ---- */

static int take_snapshot(struct frozen *frozen, struct error *err)
{
	autofree char *image = layout_path(frozen->layout, "process/image");
	frozen->image_bytes = criu_image_bytes(image);
	return snapshots_take(frozen->layout, frozen->snapshot, err);
}

/*
 * criu can let the tasks go on after a dump (--leave-running), but then the calls that it interrupted fail in them: only
 * in an image can they be made again (mend.h). So the job goes on from its image, where it was.
 */
static int go_on(struct frozen *frozen, struct error *err)
{
	int status = restore_here(frozen, err);
	frozen->gone = status < 0;
	return status;
}

static const struct step checkpoint_steps[] = {
	{ "sync", sync_volumes, NULL }, { "process", mount_process, unmount_process },
	{ "dump", dump, undo_dump },    { "snapshot", take_snapshot, NULL },
	{ "restore", go_on, NULL },
};

int frozen_checkpoint(struct frozen *frozen, struct error *err)
{
	int status = run_steps(frozen, checkpoint_steps, array_length(checkpoint_steps), err);
	if (status == 0)
		settle_here(frozen);
	else if (frozen->gone)
		let_go(frozen);
	return status;
}

/* ---- B ---- */

static int find_devices(struct frozen *frozen, struct error *err)
{
	return layout_claim_volumes(frozen->layout, true, DEVICE_WAIT_MS, err);
}

static int mount_volumes(struct frozen *frozen, struct error *err)
{
	int status = layout_mount_volumes(frozen->layout, true, err);
	if (status == 0)
		status = layout_mount_root(frozen->layout, err);
	frozen->mounted_ns = clock_now_ns();
	return status;
}

static int unmount_volumes(struct frozen *frozen, struct error *err)
{
	return layout_release_volumes(frozen->layout, RELEASE_MIN_MS, err);
}

static int go_back(struct frozen *frozen, struct error *err)
{
	return frozen->snapshot        ? snapshots_go_back(frozen->layout, frozen->snapshot, err)
	       : frozen->undo_snapshot ? snapshots_undo(frozen->layout, err)
				       : 0;
}

static int undo_back(struct frozen *frozen, struct error *err)
{
	return frozen->snapshot ? snapshots_undo(frozen->layout, err) : 0;
}

static const struct step enter_steps[] = {
	{ "devices", find_devices, NULL },
	{ "back", go_back, undo_back },
	{ "mount", mount_volumes, unmount_volumes },
	{ "restore", restore_here, NULL },
};

int frozen_enter(struct frozen *frozen, struct error *err)
{
	int status = run_steps(frozen, enter_steps, array_length(enter_steps), err);
	if (status == 0)
		settle_here(frozen);
	return status;
}

void frozen_clear(struct frozen *frozen)
{
	json_object_put(frozen->steps);
	json_object_put(frozen->adopt);
	frozen->steps = frozen->adopt = NULL;
}
