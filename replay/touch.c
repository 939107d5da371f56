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
#include <stdlib.h>

#include "state.h"

#define LINUX_SIGBUS 7u

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
	if (later > offset)
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
	/* That it was a write was a guess, and wrong. */
	if (space->mm && !(thread->flags & TRACE_TOUCH_EXACT) &&
	    quire_touch(space->mm, thread->addr, QUIRE_TOUCH_READ, NULL) == 0)
		return;
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

void replay_thread_started(struct replay *replay, const struct trace_event *event)
{
	struct space_slot *space = replay_space_of(replay, event->process);

	if (space)
		space->account.has_threads = true;
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

/* Linux refused what is beyond the end of a file: it was cut, unseen, before this page. */
static bool shrink_file_at(struct replay *replay, struct space_slot *space, uint64_t addr)
{
	uint64_t offset;
	struct file_slot *file = replay_file_at(replay, space->mm, addr, &offset);

	offset &= QUIRE_PAGE_MASK;
	if (!file || file->bytes <= offset || quire_file_truncate(file->file, offset) != 0)
		return false;
	file->bytes = offset;
	if (file->filled_bytes > offset)
		file->filled_bytes = offset;
	return true;
}

/* The touch that was granted here had no fault on Linux, but a signal. */
static void forget_granted(struct space_slot *space, struct thread_slot *thread, uint64_t addr)
{
	if (!thread || ((thread->granted_addr ^ addr) & QUIRE_PAGE_MASK) != 0)
		return;
	space->account.nr_beside += thread->granted_faults;
	thread->granted_faults = 0;
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
	/* The kernel's half: there is nothing there, and the recorder tells no touch. */
	if (signal->addr >> 63) {
		replay->result->nr_signals_alike++;
		return;
	}
	if (signal->number == LINUX_SIGBUS && shrink_file_at(replay, space, signal->addr)) {
		replay->result->nr_sizes_inferred++;
		space->account.nr_cuts++;
		space->account.nr_signals++;
		forget_granted(space, thread, signal->addr);
		return;
	}
	replay->result->nr_signals_missed++;
	replay_mismatch(replay, event, "Linux sent signal %" PRIu32 " for %#" PRIx64
			", the core granted the access", signal->number, signal->addr);
}

/* ---- touches ----------------------------------------------------------------------------- */

/* A page that exec filled was counted before the program ran, and is its own.  With a
 * large folio the fault of one brought others, there as here. */
static void count_setup(struct replay *replay, struct space_slot *space, uint32_t index)
{
	struct process_slot *process = &replay->processes[index];

	space->account.nr_setup++;
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
	bool setup = touch->flags & TRACE_TOUCH_SETUP;
	uint64_t before;
	int err;

	replay->result->nr_touches++;
	if (!space || !space->mm)
		return 0;
	space->account.nr_touches += !setup;
	before = replay_faults_of(space);
	err = quire_touch(space->mm, touch->addr, kind_of(touch->flags), &fault);
	if (err == -ENOMEM)
		return err;
	before = replay_faults_of(space) - before;
	if (setup && (err || before > 0))
		count_setup(replay, space, event->process);
	if (err)
		return refused(replay, event, space, fault.signal);
	space->account.nr_idle += before == 0 && !setup;
	if (replay_reserve_thread(replay, event->thread))
		return -ENOMEM;
	replay->threads[event->thread].granted_addr = touch->addr;
	replay->threads[event->thread].granted_faults = before;
	return 0;
}

static bool is_written(enum trace_came_how how)
{
	return how == TRACE_CAME_WRITE || how == TRACE_CAME_ALONE || how == TRACE_CAME_THERE_WRITE;
}

static bool was_there(enum trace_came_how how)
{
	return how == TRACE_CAME_THERE_READ || how == TRACE_CAME_THERE_WRITE;
}

/* Is what the core has there what was found? */
static bool is_there(const struct quire_page_info *info, enum trace_came_how how)
{
	if (!info->present || (is_written(how) && info->zero_page))
		return false;
	/* The file's page may be there, beside another: it is made the process's own. */
	if (how == TRACE_CAME_THERE_WRITE)
		return info->anon;
	/* It was shared since a fork, and has been copied for one of the two. */
	return how != TRACE_CAME_ALONE || !info->anon || info->order > 0 || info->mapcount <= 1;
}

/* A fault of the kernel's was made up for.  caller: who is charged on Linux. */
static void count_came(struct space_slot *space, struct space_slot *caller, uint64_t nr,
		       bool certain)
{
	caller->account.nr_came += nr;
	caller->account.nr_forgivable += certain ? 0 : nr;
	if (caller == space)
		return;
	/* Here the fault was counted where the memory is. */
	space->account.nr_beside += nr;
	caller->account.nr_lent += nr;
}

/* One page that was found there is brought in, unless it is. */
static int bring(struct space_slot *space, struct space_slot *caller, uint64_t addr,
		 enum trace_came_how how)
{
	struct quire_page_info info;
	uint64_t before;
	bool copied;
	int err;

	if (quire_page_info(space->mm, addr, &info) != 0)
		return -EFAULT;
	if (is_there(&info, how))
		return 0;
	/* Or who shared it had ended, and that is told later. */
	copied = info.present && info.anon;
	before = replay_faults_of(space);
	err = quire_touch(space->mm, addr, is_written(how) ? QUIRE_TOUCH_WRITE : QUIRE_TOUCH_READ,
			  NULL);
	if (err) {
		space->account.nr_forced += is_written(how);
		return err;
	}
	/* Linux took no fault for what came beside one, or had taken it before. */
	if (was_there(how))
		space->account.nr_there += replay_faults_of(space) - before;
	else if (how == TRACE_CAME_BESIDE)
		space->account.nr_beside += replay_faults_of(space) - before;
	else if (quire_page_info(space->mm, addr, &info) == 0)
		count_came(space, caller, replay_faults_of(space) - before, info.anon && !copied);
	return 0;
}

/* ---- faults of the kernel's on pages that were there --------------------------------- */

/* Writable memory of the process's own. */
struct ranges {
	struct {
		uint64_t start, end;
	} *range;
	size_t nr, capacity;
	bool failed;
};

static bool add_range(const struct quire_map_info *map, void *arg)
{
	struct ranges *own = arg;

	if (map->shared || map->special || !(map->prot & QUIRE_PROT_WRITE))
		return true;
	if (own->nr == own->capacity) {
		size_t want = own->capacity ? 2 * own->capacity : 64;
		void *grown = realloc(own->range, want * sizeof(own->range[0]));

		own->failed = !grown;
		if (!grown)
			return false;
		own->range = grown;
		own->capacity = want;
	}
	own->range[own->nr].start = map->start;
	own->range[own->nr++].end = map->end;
	return true;
}

/* A page that a fork made read-only is written.  *left: faults to find a page for. */
static int write_if_shared(struct space_slot *space, uint64_t addr, uint64_t *left)
{
	uint64_t before = replay_faults_of(space);
	struct quire_page_info info;
	int err;

	if (quire_page_info(space->mm, addr, &info) != 0 || !info.present || !info.anon ||
	    info.writable || info.zero_page)
		return 0;
	err = quire_touch(space->mm, addr, QUIRE_TOUCH_WRITE, NULL);
	if (err)
		return err == -ENOMEM ? err : 0;
	before = replay_faults_of(space) - before;
	*left -= before < *left ? before : *left;
	/* Other threads' exceptions may have been on their way when it was counted. */
	count_came(space, space, before, !space->account.has_threads);
	return 0;
}

/*
 * Linux counted `left` faults more without an exception: the kernel wrote to pages that
 * were there, and shared since a fork (O_DIRECT into them).  Which ones, nothing tells
 * but that there are no others for it.
 */
static int write_shared(struct space_slot *space, uint64_t left)
{
	/* A reservation of terabytes is not searched to its end. */
	uint64_t most_looks = UINT64_C(1) << 20;
	struct ranges own = { 0 };
	int err = 0;

	quire_mm_maps(space->mm, add_range, &own);
	if (own.failed)
		err = -ENOMEM;
	for (size_t i = 0; i < own.nr && left && !err; i++)
		for (uint64_t at = own.range[i].start; at < own.range[i].end && left && !err && most_looks;
		     at += QUIRE_PAGE_SIZE, most_looks--)
			err = write_if_shared(space, at, &left);
	free(own.range);
	return err;
}

/* Pages of files that one fault brought together, here by several; wrong guesses. */
static void forgive(struct space_account *account, uint64_t too_many)
{
	uint64_t nr = too_many < account->nr_forgivable ? too_many : account->nr_forgivable;
	uint64_t of_came = nr < account->nr_came ? nr : account->nr_came;

	account->nr_forgivable -= nr;
	account->nr_came -= of_came;
	account->nr_call_faults -= nr - of_came;
	account->nr_beside += nr;
}

/* Faults that fired no exception and are not accounted for so far. */
static int64_t unseen_left(const struct space_account *account, int64_t told)
{
	return told + (int64_t)account->nr_kernel_refused -
	       (int64_t)(account->nr_came + account->nr_call_faults);
}

/* What Linux has counted, against what the replay has made up for. */
static int judge_unseen(struct space_slot *space, const struct trace_came *came)
{
	struct space_account *account = &space->account;
	int64_t nr = (int64_t)came->nr_pages, told = came->how == TRACE_CAME_FEWER ? -nr : nr;
	int64_t left = unseen_left(account, told);
	int err = 0;

	if (left < 0)
		forgive(account, (uint64_t)-left);
	else if (left > (int64_t)account->nr_unplaced)
		err = write_shared(space, (uint64_t)left - account->nr_unplaced);
	left = unseen_left(account, told);
	account->nr_unplaced = left > 0 ? (uint64_t)left : 0;
	return err;
}

static uint64_t leaf_windows(const struct trace_came *came)
{
	uint64_t first = (came->addr + QUIRE_PMD_SIZE - 1) / QUIRE_PMD_SIZE;
	uint64_t last = (came->addr + came->nr_pages * QUIRE_PAGE_SIZE) / QUIRE_PMD_SIZE;

	return last > first ? last - first : 0;
}

static bool is_of_file(struct replay *replay, struct space_slot *space,
		       const struct trace_came *came)
{
	uint64_t offset;

	return came->how == TRACE_CAME_BESIDE ||
	       (came->how == TRACE_CAME_WRITE && leaf_windows(came) &&
		replay_file_at(replay, space->mm, came->addr, &offset));
}

int replay_came(struct replay *replay, const struct trace_event *event)
{
	struct space_slot *space = replay_space_of(replay, event->process);
	struct space_slot *caller = replay->reach.target != event->process ? space :
		replay_space_of(replay, replay->reach.caller);
	const struct trace_came *came = &event->came;

	if (!caller)
		caller = space;
	if (came->how == TRACE_CAME_FAULTS || came->how == TRACE_CAME_FEWER)
		return space && space->mm ? judge_unseen(space, came) : 0;
	if (space && space->mm && is_of_file(replay, space, came))
		space->account.nr_leaf_windows += leaf_windows(came);
	for (uint64_t i = 0; space && space->mm && i < came->nr_pages; i++) {
		int err = bring(space, caller, came->addr + i * QUIRE_PAGE_SIZE, came->how);

		if (err == -ENOMEM)
			return err;
		if (err == -EFAULT && i > 0 && came->how != TRACE_CAME_BESIDE)
			break;
	}
	return 0;
}
