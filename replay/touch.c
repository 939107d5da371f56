/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses: touches of the program, pages that the kernel brought, and the
 * signals that Linux sent for accesses it refused.
 *
 * A touch that the core refuses is not judged at once.  If Linux refused it too,
 * the next thing that the thread is heard of is the signal it got.  If the next
 * thing is another, Linux granted the access:
 *
 *  - beyond the end of a file, the file had grown by a write(2) that nobody
 *    recorded.  It is made as large as the access needs, and the access made
 *    again.
 *  - elsewhere it is a difference, and said.
 *
 * The kernel's own touches get no signal, but give the caller an error; Linux
 * does not count them as faults.  A recording of version 1 has no signals:
 * there nothing is concluded.
 */
#include <errno.h>
#include <inttypes.h>

#include "state.h"

static enum quire_touch kind_of(uint32_t flags)
{
	return flags & TRACE_TOUCH_WRITE ? QUIRE_TOUCH_WRITE :
	       flags & TRACE_TOUCH_EXEC  ? QUIRE_TOUCH_EXEC :
					   QUIRE_TOUCH_READ;
}

/* ---- accesses that were refused ------------------------------------------------------ */

static bool has_signals(const struct replay *replay)
{
	return replay->header->version > 1 && replay->header->source != TRACE_SOURCE_NONE;
}

/* The file at addr is made to reach the page.  False: there is none, or it does. */
static bool grow_file_at(struct replay *replay, struct space_slot *space, uint64_t addr)
{
	uint64_t offset, end, later;
	struct file_slot *file = replay_file_at(replay, space->mm, addr, &offset);

	if (!file)
		return false;
	end = (offset & QUIRE_PAGE_MASK) + QUIRE_PAGE_SIZE;
	later = replay_later_size(replay, (uint32_t)(file - replay->files));
	/* It grew to what is told next of it, if that reaches so far. */
	if (later >= offset)
		end = later;
	if (end <= file->bytes || quire_file_truncate(file->file, end) != 0)
		return false;
	file->bytes = end;
	return replay_fill_file(file, end) == 0;
}

/* The recording tells later that the file at addr reaches it; it is made so now. */
static bool grew_later(struct replay *replay, struct space_slot *space, uint64_t addr)
{
	uint64_t offset;
	struct file_slot *file = replay_file_at(replay, space->mm, addr, &offset);

	return file && replay_later_size(replay, (uint32_t)(file - replay->files)) > offset &&
	       grow_file_at(replay, space, addr);
}

static void granted_by_linux(struct replay *replay, const struct trace_event *event,
			     const struct thread_slot *thread)
{
	struct space_slot *space = &replay->spaces[thread->mm];
	enum quire_touch kind = kind_of(thread->flags);

	if (space->mm && thread->signal == QUIRE_SIGBUS &&
	    grow_file_at(replay, space, thread->addr) &&
	    quire_touch(space->mm, thread->addr, kind, NULL) == 0) {
		replay->result->nr_sizes_inferred++;
		return;
	}
	replay->result->nr_touches_refused++;
	space->account.nr_refused++;
	replay_mismatch(replay, event, "touching %#" PRIx64 " is refused (%s), Linux granted it",
			thread->addr, thread->signal == QUIRE_SIGBUS ? "SIGBUS" : "SIGSEGV");
}

/* The thread is heard of again: what it was waiting for did not come. */
void replay_thread_heard(struct replay *replay, const struct trace_event *event)
{
	struct thread_slot *thread;

	if (event->thread == TRACE_NONE || event->thread >= replay->nr_threads)
		return;
	thread = &replay->threads[event->thread];
	if (!thread->waits)
		return;
	thread->waits = false;
	granted_by_linux(replay, event, thread);
}

static int refused(struct replay *replay, const struct trace_event *event,
		   struct space_slot *space, enum quire_signal signal)
{
	const struct trace_touch *touch = &event->touch;
	int err;

	/* Linux counts no fault for the kernel's own access that fails.  Beyond the end
	 * of a file that is told to be larger later, it did not. */
	if (touch->flags & TRACE_TOUCH_KERNEL) {
		if (signal == QUIRE_SIGBUS && grew_later(replay, space, touch->addr) &&
		    quire_touch(space->mm, touch->addr, kind_of(touch->flags), NULL) == 0)
			return 0;
		space->account.nr_kernel_refused++;
		return 0;
	}
	if (!has_signals(replay)) {
		replay->result->nr_touches_refused++;
		space->account.nr_refused++;
		replay_mismatch(replay, event, "touching %#" PRIx64 " is refused", touch->addr);
		return 0;
	}
	err = replay_reserve_thread(replay, event->thread);
	if (err)
		return err;
	replay->threads[event->thread] = (struct thread_slot){
		.waits = true, .addr = touch->addr, .flags = touch->flags, .signal = signal,
		.mm = replay->processes[event->process].mm,
	};
	return 0;
}

void replay_signal(struct replay *replay, const struct trace_event *event)
{
	const struct trace_signal *signal = &event->signal;
	struct space_slot *space = replay_space_of(replay, event->process);
	struct thread_slot *thread = event->thread < replay->nr_threads ?
					     &replay->threads[event->thread] : NULL;

	if (!space || !space->mm)
		return;
	if (thread && thread->waits &&
	    ((thread->addr ^ signal->addr) & QUIRE_PAGE_MASK) == 0) {
		thread->waits = false;
		space->account.nr_signals++;
		replay->result->nr_signals_alike++;
		return;
	}
	replay->result->nr_signals_missed++;
	replay_mismatch(replay, event, "Linux sent signal %" PRIu32 " for %#" PRIx64
			", the core granted the access", signal->number, signal->addr);
}

/* ---- touches ----------------------------------------------------------------------------- */

/* A page that exec filled was counted before the program ran, and is its own. */
static void count_setup(struct replay *replay, uint32_t index)
{
	struct process_slot *process = &replay->processes[index];

	if (!process->counted_exec)
		return;
	process->counted_faults--;
	if (process->lender != TRACE_NONE)
		replay->spaces[process->lender].borrowed_faults--;
}

int replay_touch(struct replay *replay, const struct trace_event *event)
{
	struct space_slot *space = replay_space_of(replay, event->process);
	const struct trace_touch *touch = &event->touch;
	struct quire_fault fault = { .signal = QUIRE_NO_SIGNAL };
	uint64_t before;
	int err;

	replay->result->nr_touches++;
	if (!space || !space->mm)
		return 0;
	if (touch->flags & TRACE_TOUCH_SETUP) {
		count_setup(replay, event->process);
		space->account.nr_setup++;
	} else {
		space->account.nr_touches++;
	}
	before = replay_faults_of(space);
	err = quire_touch(space->mm, touch->addr, kind_of(touch->flags), &fault);
	if (err == -ENOMEM)
		return err;
	if (err)
		return refused(replay, event, space, fault.signal);
	if (replay_faults_of(space) == before)
		space->account.nr_idle++;
	return 0;
}

/* One page that was found there is brought in, unless it is. */
static int bring(struct space_slot *space, uint64_t addr, enum trace_came_how how)
{
	struct quire_page_info info;
	uint64_t before;
	int err;

	if (quire_page_info(space->mm, addr, &info) != 0)
		return -EFAULT;
	if (info.present && (how != TRACE_CAME_WRITE || !info.zero_page))
		return 0;
	before = replay_faults_of(space);
	err = quire_touch(space->mm, addr, how == TRACE_CAME_WRITE ? QUIRE_TOUCH_WRITE :
								    QUIRE_TOUCH_READ, NULL);
	if (err)
		return err;
	/* Linux took no fault for what came beside one. */
	if (how == TRACE_CAME_BESIDE)
		space->account.nr_beside += replay_faults_of(space) - before;
	else
		space->account.nr_came++;
	return 0;
}

int replay_came(struct replay *replay, const struct trace_event *event)
{
	struct space_slot *space = replay_space_of(replay, event->process);
	const struct trace_came *came = &event->came;

	for (uint64_t i = 0; space && space->mm && i < came->nr_pages; i++) {
		int err = bring(space, came->addr + i * QUIRE_PAGE_SIZE, came->how);

		if (err == -ENOMEM)
			return err;
		if (err == -EFAULT && i > 0 && came->how != TRACE_CAME_BESIDE)
			break;
	}
	return 0;
}
