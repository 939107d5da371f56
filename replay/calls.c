/* SPDX-License-Identifier: BSD-2-Clause */
/* The recorded system calls, made again. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

/* Linux's numbers, which the core shares; these two it does not have. */
#define LINUX_SHM_RDONLY 010000u
#define LINUX_SHM_EXEC 0100000u
#define LINUX_FALLOC_PUNCH_HOLE 2u

struct call {
	struct replay *replay;
	const struct trace_event *event;
	const struct trace_call *in;
	struct space_slot *space;
	struct quire_mm *mm;
};

/*
 * Counts whether the core returned what Linux did.  For calls that return an
 * address `ours` is 0 on success and places are compared apart.
 */
static void result_compare(const struct call *c, int64_t ours)
{
	int64_t theirs = c->in->result < 0 ? c->in->result : 0;

	if (ours > 0)
		ours = 0;
	if (ours == theirs) {
		c->replay->result->nr_results_alike++;
		return;
	}
	c->replay->result->nr_results_different++;
	replay_mismatch(c->replay, c->event, "%s(%#" PRIx64 ", %#" PRIx64 ") gave %" PRId64
			", Linux gave %" PRId64,
			trace_call_name(c->in->nr), c->in->addr, c->in->len, ours, theirs);
}

static void place_compare(const struct call *c, uint64_t ours)
{
	c->replay->result->nr_placed++;
	if (ours == (uint64_t)c->in->result) {
		c->replay->result->nr_placed_alike++;
		return;
	}
	replay_mismatch(c->replay, c->event,
			"%s of %#" PRIx64 " bytes placed at %#" PRIx64 ", Linux: %#" PRIx64,
			trace_call_name(c->in->nr), c->in->nr == TRACE_MREMAP ? c->in->new_len :
			c->in->len, ours, (uint64_t)c->in->result);
}

static int call_mmap(const struct call *c)
{
	const struct trace_call *in = c->in;
	struct file_slot *file = in->flags & QUIRE_MAP_ANONYMOUS || in->file == TRACE_NONE ?
					 NULL : replay_file_slot(c->replay, in->file);
	uint32_t flags = in->flags;
	uint64_t addr = 0;
	int err;

	if (!(flags & QUIRE_MAP_ANONYMOUS) && !file && in->result < 0)
		return 0; /* refused for its descriptor: nothing of ours */
	if (!file)
		flags |= QUIRE_MAP_ANONYMOUS;
	else {
		err = replay_fill_file(file, in->offset + in->len);
		if (err)
			return err;
	}
	err = quire_mmap(c->mm, in->addr, in->len, in->prot, flags, file ? file->file : NULL,
			 in->offset, &addr);
	result_compare(c, err);
	if (in->result < 0) {
		if (err == 0)
			return quire_munmap(c->mm, addr, in->len);
		return 0;
	}
	if (!(flags & (QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE)) && err == 0)
		place_compare(c, addr);
	if (err == 0 && addr == (uint64_t)in->result)
		return 0;
	if (err == 0)
		quire_munmap(c->mm, addr, in->len);
	return quire_mmap(c->mm, (uint64_t)in->result, in->len, in->prot,
			  (flags & ~(uint32_t)QUIRE_MAP_FIXED_NOREPLACE) | QUIRE_MAP_FIXED,
			  file ? file->file : NULL, in->offset, &addr);
}

static int call_mremap(const struct call *c)
{
	const struct trace_call *in = c->in;
	uint64_t addr = 0;
	int err = quire_mremap(c->mm, in->addr, in->len, in->new_len, in->flags, in->new_addr,
			       &addr);

	result_compare(c, err);
	if (err != 0 || in->result < 0)
		return 0;
	if (!(in->flags & QUIRE_MREMAP_FIXED) && (uint64_t)in->result != in->addr)
		place_compare(c, addr);
	if (addr == (uint64_t)in->result)
		return 0;
	return quire_mremap(c->mm, addr, in->new_len, in->new_len,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, (uint64_t)in->result, &addr);
}

static int call_brk(const struct call *c)
{
	uint64_t brk = 0;
	int err = quire_brk(c->mm, c->in->addr, &brk);

	if (err == 0 && brk != (uint64_t)c->in->result)
		replay_mismatch(c->replay, c->event, "brk(%#" PRIx64 ") gave %#" PRIx64
				", Linux gave %#" PRIx64, c->in->addr, brk,
				(uint64_t)c->in->result);
	if (err == 0 && brk == (uint64_t)c->in->result)
		c->replay->result->nr_results_alike++;
	else
		c->replay->result->nr_results_different++;
	return 0;
}

static int call_shmat(const struct call *c)
{
	const struct trace_call *in = c->in;
	struct file_slot *file = replay_file_slot(c->replay, in->file);
	uint32_t prot = QUIRE_PROT_READ |
			(in->flags & LINUX_SHM_RDONLY ? 0u : (uint32_t)QUIRE_PROT_WRITE) |
			(in->flags & LINUX_SHM_EXEC ? (uint32_t)QUIRE_PROT_EXEC : 0u);
	uint64_t addr;

	if (in->result < 0 || !file)
		return 0;
	return quire_mmap(c->mm, (uint64_t)in->result, in->len, prot,
			  QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file->file, 0, &addr);
}

struct map_search {
	uint64_t start, end;
};

static bool map_search_visit(const struct quire_map_info *map, void *arg)
{
	struct map_search *search = arg;

	if (map->start != search->start)
		return true;
	search->end = map->end;
	return false;
}

static int call_shmdt(const struct call *c)
{
	struct map_search search = { .start = c->in->addr };

	if (c->in->result < 0)
		return 0;
	quire_mm_maps(c->mm, map_search_visit, &search);
	if (search.end == 0)
		return 0;
	return quire_munmap(c->mm, search.start, search.end - search.start);
}

static int call_file(const struct call *c)
{
	const struct trace_call *in = c->in;
	struct file_slot *file = replay_file_slot(c->replay, in->file);

	if (in->result < 0 || !file)
		return 0;
	if (in->nr == TRACE_FALLOCATE && (in->flags & LINUX_FALLOC_PUNCH_HOLE))
		return quire_file_punch(file->file, in->offset, in->len);
	file->bytes = in->file_bytes;
	if (file->filled_bytes > file->bytes)
		file->filled_bytes = file->bytes;
	return quire_file_truncate(file->file, in->file_bytes);
}

static int call_mincore(const struct call *c)
{
	uint64_t nr_pages = (c->in->len + QUIRE_PAGE_SIZE - 1) / QUIRE_PAGE_SIZE;
	uint8_t *vec;

	if (nr_pages > UINT32_MAX)
		return 0;
	vec = malloc(nr_pages ? nr_pages : 1);
	if (!vec)
		return -ENOMEM;
	result_compare(c, quire_mincore(c->mm, c->in->addr, c->in->len, vec));
	free(vec);
	return 0;
}

static bool advice_is_ours(uint32_t advice)
{
	switch ((int)advice) {
	case QUIRE_MADV_NORMAL:
	case QUIRE_MADV_RANDOM:
	case QUIRE_MADV_SEQUENTIAL:
	case QUIRE_MADV_WILLNEED:
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_REMOVE:
	case QUIRE_MADV_DONTFORK:
	case QUIRE_MADV_DOFORK:
	case QUIRE_MADV_COLLAPSE:
	case QUIRE_MADV_HUGEPAGE:
	case QUIRE_MADV_NOHUGEPAGE:
	case QUIRE_MADV_DONTDUMP:
	case QUIRE_MADV_DODUMP:
	case QUIRE_MADV_WIPEONFORK:
	case QUIRE_MADV_KEEPONFORK:
	case QUIRE_MADV_POPULATE_READ:
	case QUIRE_MADV_POPULATE_WRITE:
	case QUIRE_MADV_DONTNEED_LOCKED:
		return true;
	default:
		return false;
	}
}

/* The core does not model it: kept for the account of its address space. */
static int note_call(const struct call *c)
{
	struct replay_result *result = c->replay->result;
	const char *name = c->in->name ? c->in->name : trace_call_name(c->in->nr);
	struct replay_note *grown;

	c->space->account.noted[c->in->nr]++;
	for (size_t i = 0; i < result->nr_notes; i++)
		if (strcmp(result->notes[i].call, name) == 0) {
			result->notes[i].count++;
			return 0;
		}
	grown = realloc(result->notes, (result->nr_notes + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	result->notes = grown;
	grown[result->nr_notes].count = 1;
	grown[result->nr_notes].call = strdup(name);
	if (!grown[result->nr_notes].call)
		return -ENOMEM;
	result->nr_notes++;
	return 0;
}

static int call_madvise(const struct call *c)
{
	if (!advice_is_ours(c->in->advice))
		return note_call(c);
	result_compare(c, quire_madvise(c->mm, c->in->addr, c->in->len, (int)c->in->advice));
	return 0;
}

static int call_dispatch(const struct call *c)
{
	const struct trace_call *in = c->in;

	switch (in->nr) {
	case TRACE_MMAP:
		return call_mmap(c);
	case TRACE_MREMAP:
		return call_mremap(c);
	case TRACE_BRK:
		return call_brk(c);
	case TRACE_MADVISE:
	case TRACE_PROCESS_MADVISE:
		return call_madvise(c);
	case TRACE_MINCORE:
		return call_mincore(c);
	case TRACE_SHMAT:
		return call_shmat(c);
	case TRACE_SHMDT:
		return call_shmdt(c);
	case TRACE_FTRUNCATE:
	case TRACE_FALLOCATE:
		return call_file(c);
	case TRACE_MUNMAP:
		result_compare(c, quire_munmap(c->mm, in->addr, in->len));
		return 0;
	case TRACE_MPROTECT:
		result_compare(c, quire_mprotect(c->mm, in->addr, in->len, in->prot));
		return 0;
	case TRACE_MLOCK:
		result_compare(c, quire_mlock(c->mm, in->addr, in->len, 0));
		return 0;
	case TRACE_MLOCK2:
		result_compare(c, quire_mlock(c->mm, in->addr, in->len, in->flags));
		return 0;
	case TRACE_MUNLOCK:
		result_compare(c, quire_munlock(c->mm, in->addr, in->len));
		return 0;
	case TRACE_MLOCKALL:
		result_compare(c, quire_mlockall(c->mm, in->flags));
		return 0;
	case TRACE_MUNLOCKALL:
		result_compare(c, quire_munlockall(c->mm));
		return 0;
	case TRACE_MSYNC:
		result_compare(c, quire_msync(c->mm, in->addr, in->len, in->flags));
		return 0;
	default:
		/* What Linux refused left nothing to account for. */
		return in->result < 0 ? 0 : note_call(c);
	}
}

static uint64_t faults_of(struct quire_mm *mm)
{
	struct quire_mm_stats stats;

	quire_mm_stats(mm, &stats);
	return stats.faults + stats.major_faults;
}

int replay_call(struct replay *replay, const struct trace_event *event)
{
	uint32_t process = event->call.nr == TRACE_PROCESS_MADVISE ? event->call.target :
								      event->process;
	struct space_slot *space = process == TRACE_NONE ? NULL : replay_space_of(replay, process);
	struct call c = { .replay = replay, .event = event, .in = &event->call };
	uint64_t faults;
	int err;

	replay->result->nr_calls++;
	if (!space || !space->mm)
		return 0;
	c.space = space;
	c.mm = space->mm;
	faults = faults_of(c.mm);
	err = call_dispatch(&c);
	space->account.nr_call_faults += faults_of(c.mm) - faults;
	if (err == -ENOMEM || err == 0)
		return err;
	replay_mismatch(replay, event, "%s could not be repeated: error %d",
			trace_call_name(c.in->nr), -err);
	return 0;
}
