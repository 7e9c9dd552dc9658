/* images/core.proto, timer.proto and siginfo.proto of criu's source. */
#include <signal.h>
#include <stdlib.h>

#include "agent/dump_shared.h"
#include "agent/mend_inside.h"
#include "lib/cleanup.h"

enum {
	TASK_TIMERS = 7,
	TIMERS_REAL = 1,
	TIMERS_VIRTUAL = 2,
	TIMERS_PROF = 3,
	TIMERS_POSIX = 4,
	ITIMER_EVERY = 1, /* seconds; the parts of them, of a time, and of that come behind */
	POSIX_ID = 1,
	POSIX_EVERY = 7,
	SIGNAL_INFO = 1,
};

/* ---- timers ---- */

/* In parts of a second. */
struct times {
	uint64_t every, left;
};

static struct times read_times(struct span timer, unsigned every, uint64_t parts)
{
	return (struct times){
		.every = protobuf_value(timer, every) * parts + protobuf_value(timer, every + 1),
		.left = protobuf_value(timer, every + 2) * parts + protobuf_value(timer, every + 3),
	};
}

static bool find_posix_timer(struct span timers, int id, struct times *times)
{
	struct field field;
	while (protobuf_next(&timers, &field))
		if (field.number == TIMERS_POSIX && protobuf_value(field.bytes, POSIX_ID) == (unsigned)id) {
			*times = read_times(field.bytes, POSIX_EVERY, 1000000000);
			return true;
		}
	return false;
}

static bool find_timer(struct span timers, const siginfo_t *info, struct times *times)
{
	static const struct {
		int signal;
		unsigned number;
	} kinds[] = { { SIGALRM, TIMERS_REAL }, { SIGVTALRM, TIMERS_VIRTUAL }, { SIGPROF, TIMERS_PROF } };
	if (info->si_code == SI_TIMER)
		return find_posix_timer(timers, info->si_timerid, times);
	for (size_t i = 0; info->si_code == SI_KERNEL && i < array_length(kinds); i++)
		if (kinds[i].signal == info->si_signo) {
			struct span timer = protobuf_part(timers, kinds[i].number);
			*times = read_times(timer, ITIMER_EVERY, 1000000);
			return timer.at != NULL;
		}
	return false;
}

/*
 * Did the timer end after criu had read it? Then it does so once more, in the restored task. One that ends again and again has
 * only just begun anew if it ended before.
 */
static bool comes_again(struct span timers, const siginfo_t *info)
{
	struct times times;
	return find_timer(timers, info, &times) && times.left > 0 &&
	       (times.every == 0 || times.left < times.every / 2);
}

/* ---- queues ---- */

static void put_signal(struct buffer *queue, const siginfo_t *info)
{
	struct buffer bytes = { 0 }, signal = { 0 };
	protobuf_put(&bytes, info, sizeof(*info));
	protobuf_put_part(&signal, SIGNAL_INFO, &bytes);
	protobuf_put_part(queue, QUEUE_SIGNALS, &signal);
}

static bool put_late(const struct mending *mending, struct span core, bool shared, struct buffer *queue)
{
	const struct dump_shared *told = waits_shared(mending->waits);
	autofree unsigned char *data = NULL;
	struct span timers;
	bool put = false, known = false;
	for (int i = 0; told && i < told->late_count; i++) {
		const struct dump_late *late = &told->late[i];
		if (late->thread != mending->id || late->shared != shared)
			continue;
		if (!known)
			timers = protobuf_part(mend_task(mending, core, &data), TASK_TIMERS);
		known = true;
		if (comes_again(timers, &late->info))
			continue;
		put_signal(queue, &late->info);
		put = true;
	}
	return put;
}

/* The part of the core, with these signals behind those that its queue has. */
static void put_part(struct buffer *mended, const struct field *part, unsigned number, struct buffer *late)
{
	struct buffer with = { 0 }, queue = { 0 };
	struct span rest = part->bytes;
	struct field field;
	while (protobuf_next(&rest, &field))
		if (field.number == number)
			protobuf_put(&queue, field.bytes.at, (size_t)(field.bytes.end - field.bytes.at));
		else
			protobuf_put_field(&with, &field);
	protobuf_put(&queue, late->data, late->length);
	protobuf_put_part(&with, number, &queue);
	protobuf_put_part(mended, part->number, &with);
}

/* A thread that is not its task's first has no part of the task. */
static bool has_whole_parts(struct span core)
{
	struct field field;
	while (protobuf_next(&core, &field))
		if ((field.number == CORE_TASK || field.number == CORE_THREAD) &&
		    (field.wire != 2 || !protobuf_is_whole(field.bytes)))
			return false;
	return true;
}

bool mend_signals(const struct mending *mending, struct span core, struct buffer *mended)
{
	struct buffer of_task = { 0 }, of_thread = { 0 };
	struct field field;
	bool task = put_late(mending, core, true, &of_task),
	     thread = put_late(mending, core, false, &of_thread);
	bool whole = (task || thread) && protobuf_is_whole(core) && has_whole_parts(core);
	while (whole && protobuf_next(&core, &field))
		if (task && field.number == CORE_TASK)
			put_part(mended, &field, TASK_SIGNALS, &of_task);
		else if (thread && field.number == CORE_THREAD)
			put_part(mended, &field, THREAD_SIGNALS, &of_thread);
		else
			protobuf_put_field(mended, &field);
	free(of_task.data);
	free(of_thread.data);
	return whole;
}
