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
#define LINUX_MAP_HUGE_SIZES (0x3fu << 26)

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

/* The core does not model it: kept for the account of its address space. */
static int note_call(const struct call *c, const char *name)
{
	struct space_account *account = &c->space->account;
	struct replay_result *result = c->replay->result;
	int err = replay_note(&account->notes, &account->nr_notes, name);

	return err ? err : replay_note(&result->notes, &result->nr_notes, name);
}

/* ---- calls that Linux granted, whatever the core says -------------------------------- */

/* The limits are Linux's affair: it granted the call.  Tries again without any. */
static int without_limits(const struct call *c, int (*try)(const struct call *, void *), void *arg)
{
	const struct quire_limits none = {
		.address_space_bytes = QUIRE_UNLIMITED, .data_bytes = QUIRE_UNLIMITED,
		.data_max_bytes = QUIRE_UNLIMITED, .stack_bytes = QUIRE_UNLIMITED,
		.locked_bytes = QUIRE_UNLIMITED, .may_lock_any = true, .may_use_reserve = true,
	};
	struct quire_layout layout;
	int err;

	quire_mm_get_layout(c->mm, &layout);
	quire_mm_set_limits(c->mm, &none);
	err = try(c, arg);
	quire_mm_set_limits(c->mm, &layout.limits);
	return err;
}

/* ---- mmap ------------------------------------------------------------------------------- */

struct mapping_request {
	uint64_t addr;
	uint32_t flags;
	struct quire_file *file;
	uint64_t placed; /* where it is */
};

static int try_mmap(const struct call *c, void *arg)
{
	struct mapping_request *m = arg;

	return quire_mmap(c->mm, m->addr, c->in->len, c->in->prot, m->flags, m->file,
			  c->in->offset, &m->placed);
}

/*
 * Linux refused it.  What the core says is found out at a place that is free, so
 * that nothing is replaced; a mapping it grants is taken back.
 */
static int refused_mmap(const struct call *c, struct mapping_request *m)
{
	int err;

	if (m->flags & (QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE)) {
		struct mapping_request probe = *m;

		probe.addr = 0;
		probe.flags &= ~(uint32_t)(QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE |
					   QUIRE_MAP_POPULATE);
		err = try_mmap(c, &probe);
		if (err == 0) {
			quire_munmap(c->mm, probe.placed, c->in->len);
			/* Its place may be what was wrong: only a trial would tell. */
			c->replay->result->nr_refused_unasked++;
			return 0;
		}
	}
	/* It will fail here too, with what Linux leaves of such a failure. */
	err = try_mmap(c, m);
	result_compare(c, err);
	return err == 0 ? quire_munmap(c->mm, m->placed, c->in->len) : 0;
}

/* Where Linux put it; the core refused it, or chose another place. */
static int force_mmap(const struct call *c, struct mapping_request *m)
{
	m->addr = (uint64_t)c->in->result;
	m->flags = (m->flags & ~(uint32_t)QUIRE_MAP_FIXED_NOREPLACE) | QUIRE_MAP_FIXED;
	/* The pool of huge pages is not modelled: plain pages stand for its own. */
	m->flags &= ~(uint32_t)(QUIRE_MAP_HUGETLB | LINUX_MAP_HUGE_SIZES);
	return without_limits(c, try_mmap, m);
}

/* Did Linux choose the place? */
static bool chooses_place(const struct call *c)
{
	return !(c->in->flags & (QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE));
}

/* In a way that cannot be followed: with address randomisation a MAP_32BIT goes
 * somewhere else each time. */
static bool place_is_random(const struct call *c)
{
	return c->in->flags & QUIRE_MAP_32BIT && host_or(&c->replay->host, HOST_randomize, 2) != 0;
}

static bool is_of_pool(const struct call *c)
{
	struct file_slot *file = replay_file_slot(c->replay, c->in->file);

	return file && file->kind == TRACE_FILE_HUGETLB;
}

static int granted_mmap(const struct call *c, struct mapping_request *m)
{
	uint32_t flags = m->flags;
	int err;

	if (flags & QUIRE_MAP_HUGETLB || is_of_pool(c)) {
		err = note_call(c, flags & QUIRE_MAP_HUGETLB ? "mmap(MAP_HUGETLB)" :
						"mmap of hugetlbfs");
		return err ? err : force_mmap(c, m);
	}
	/* Nothing is brought in before it is where Linux had it. */
	if (chooses_place(c))
		m->flags &= ~(uint32_t)(QUIRE_MAP_POPULATE | QUIRE_MAP_LOCKED);
	err = try_mmap(c, m);
	result_compare(c, err);
	if (chooses_place(c) && !place_is_random(c) && err == 0)
		place_compare(c, m->placed);
	if (err == 0 && m->placed == (uint64_t)c->in->result && m->flags == flags)
		return 0;
	if (err == 0)
		quire_munmap(c->mm, m->placed, c->in->len);
	m->flags = flags;
	return force_mmap(c, m);
}

/* It came from an open(2) of its own, so that it does not merge. */
static int mmap_apart(const struct call *c, struct mapping_request *m)
{
	struct quire_file *own;
	int err = quire_file_reopen(m->file, quire_file_mode(m->file), &own);

	if (err)
		return err;
	m->file = own;
	err = granted_mmap(c, m);
	quire_file_put(own);
	return err;
}

static int call_mmap(const struct call *c)
{
	const struct trace_call *in = c->in;
	struct file_slot *file = in->flags & QUIRE_MAP_ANONYMOUS || in->file == TRACE_NONE ?
					 NULL : replay_file_slot(c->replay, in->file);
	struct mapping_request m = { .addr = in->addr, .flags = in->flags };
	int err;

	if (!(in->flags & QUIRE_MAP_ANONYMOUS) && !file && in->result < 0)
		return 0; /* refused for its descriptor: nothing of ours */
	if (file) {
		err = replay_file_handle(file, in->mode, &m.file);
		if (!err)
			err = replay_fill_file(file, in->offset + in->len);
		if (err)
			return err;
	} else {
		m.flags |= QUIRE_MAP_ANONYMOUS;
	}
	if (file && in->mode & TRACE_MODE_APART)
		return mmap_apart(c, &m);
	return in->result < 0 ? refused_mmap(c, &m) : granted_mmap(c, &m);
}

/* ---- calls that Linux refused ----------------------------------------------------------- */

/*
 * A call that Linux refused changes nothing here that cannot be taken back.  What
 * gives memory back is not even tried; the answer is then not compared.
 */
static bool leave_refused(const struct call *c)
{
	if (c->in->result >= 0)
		return false;
	c->replay->result->nr_refused_unasked++;
	return true;
}

static int try_mremap(const struct call *c, void *arg)
{
	return quire_mremap(c->mm, c->in->addr, c->in->len, c->in->new_len, c->in->flags,
			    c->in->new_addr, arg);
}

static int call_mremap(const struct call *c)
{
	const struct trace_call *in = c->in;
	uint64_t addr = 0, offset;
	struct file_slot *file;
	int err;

	if (leave_refused(c))
		return 0;
	/* What a mapping grows over of its file is in memory, as the rest was. */
	file = replay_file_at(c->replay, c->mm, in->addr, &offset);
	err = file && in->new_len > in->len ? replay_fill_file(file, offset + in->new_len) : 0;
	if (err)
		return err;
	err = try_mremap(c, &addr);
	result_compare(c, err);
	if (err)
		err = without_limits(c, try_mremap, &addr);
	if (err)
		return 0;
	if (!(in->flags & QUIRE_MREMAP_FIXED) && (uint64_t)in->result != in->addr)
		place_compare(c, addr);
	if (addr == (uint64_t)in->result)
		return 0;
	return quire_mremap(c->mm, addr, in->new_len, in->new_len,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, (uint64_t)in->result, &addr);
}

static int try_brk(const struct call *c, void *arg)
{
	return quire_brk(c->mm, c->in->addr, arg);
}

static int call_brk(const struct call *c)
{
	uint64_t brk = 0;
	int err = try_brk(c, &brk);

	if (err == 0 && brk == (uint64_t)c->in->result) {
		c->replay->result->nr_results_alike++;
		return 0;
	}
	c->replay->result->nr_results_different++;
	replay_mismatch(c->replay, c->event, "brk(%#" PRIx64 ") gave %#" PRIx64
			", Linux gave %#" PRIx64, c->in->addr, brk, (uint64_t)c->in->result);
	/* Granted there, refused here: as if there were no limit. */
	if (c->in->addr == (uint64_t)c->in->result)
		return without_limits(c, try_brk, &brk);
	return 0;
}

static int call_shmat(const struct call *c)
{
	const struct trace_call *in = c->in;
	struct file_slot *file = replay_file_slot(c->replay, in->file);
	uint32_t prot = QUIRE_PROT_READ |
			(in->flags & LINUX_SHM_RDONLY ? 0u : (uint32_t)QUIRE_PROT_WRITE) |
			(in->flags & LINUX_SHM_EXEC ? (uint32_t)QUIRE_PROT_EXEC : 0u);
	struct quire_file *handle;
	uint64_t addr;
	int err;

	if (in->result < 0 || !file)
		return 0;
	err = replay_file_handle(file, in->flags & LINUX_SHM_RDONLY ? TRACE_MODE_READ : 0, &handle);
	return err ? err : quire_mmap(c->mm, (uint64_t)in->result, in->len, prot,
				      QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, handle, 0, &addr);
}

/* The pieces of one attached segment: mprotect may have cut it. */
struct segment_search {
	uint64_t addr, file_id;
	uint64_t start, end; /* the first piece that is left */
};

static bool segment_visit(const struct quire_map_info *map, void *arg)
{
	struct segment_search *search = arg;

	if (map->start < search->addr || map->file_id == 0 ||
	    map->start - search->addr != map->offset)
		return true;
	if (search->file_id != 0 && map->file_id != search->file_id)
		return true;
	search->file_id = map->file_id;
	search->start = map->start;
	search->end = map->end;
	return false;
}

static int call_shmdt(const struct call *c)
{
	struct segment_search search = { .addr = c->in->addr };
	int err = 0;

	if (c->in->result < 0)
		return 0;
	while (!err) {
		search.end = 0;
		quire_mm_maps(c->mm, segment_visit, &search);
		if (search.end == 0)
			break;
		err = quire_munmap(c->mm, search.start, search.end - search.start);
	}
	return err;
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
	case QUIRE_MADV_MERGEABLE:
	case QUIRE_MADV_UNMERGEABLE:
	case QUIRE_MADV_GUARD_INSTALL:
	case QUIRE_MADV_GUARD_REMOVE:
		return true;
	default:
		return false;
	}
}

static const char *advice_name(uint32_t advice)
{
	switch ((int)advice) {
	case QUIRE_MADV_COLD:
		return "madvise(MADV_COLD)";
	case QUIRE_MADV_PAGEOUT:
		return "madvise(MADV_PAGEOUT)";
	default:
		return "madvise";
	}
}

static int call_madvise(const struct call *c)
{
	if (!advice_is_ours(c->in->advice))
		return c->in->result < 0 ? 0 : note_call(c, advice_name(c->in->advice));
	result_compare(c, quire_madvise(c->mm, c->in->addr, c->in->len, (int)c->in->advice));
	return 0;
}

/* Rights that the core grants and Linux did not are taken back, piece by piece. */
struct rights_kept {
	uint64_t start, end;
	size_t nr, capacity;
	struct { uint64_t start, end; uint32_t prot; } *piece;
	bool failed;
};

static bool keep_rights(const struct quire_map_info *map, void *arg)
{
	struct rights_kept *kept = arg;

	if (map->start >= kept->end)
		return false;
	if (map->end <= kept->start)
		return true;
	if (kept->nr == kept->capacity) {
		size_t want = kept->capacity ? 2 * kept->capacity : 16;
		void *grown = realloc(kept->piece, want * sizeof(kept->piece[0]));

		kept->failed = !grown;
		if (!grown)
			return false;
		kept->piece = grown;
		kept->capacity = want;
	}
	kept->piece[kept->nr].start = map->start > kept->start ? map->start : kept->start;
	kept->piece[kept->nr].end = map->end < kept->end ? map->end : kept->end;
	kept->piece[kept->nr++].prot = map->prot;
	return true;
}

static int try_mprotect(const struct call *c, void *arg)
{
	(void)arg;
	if (c->in->nr == TRACE_PKEY_MPROTECT)
		return quire_pkey_mprotect(c->mm, c->in->addr, c->in->len, c->in->prot,
					   (int)c->in->key);
	return quire_mprotect(c->mm, c->in->addr, c->in->len, c->in->prot);
}

static int call_mprotect(const struct call *c)
{
	struct rights_kept kept = {
		.start = c->in->addr, .end = c->in->addr + c->in->len + QUIRE_PAGE_SIZE - 1,
	};
	int err;

	kept.end &= QUIRE_PAGE_MASK;
	if (c->in->result < 0)
		quire_mm_maps(c->mm, keep_rights, &kept);
	err = kept.failed ? -ENOMEM : try_mprotect(c, NULL);
	if (!kept.failed)
		result_compare(c, err);
	if (c->in->result < 0 && err == 0)
		for (size_t i = 0; i < kept.nr; i++)
			quire_mprotect(c->mm, kept.piece[i].start,
				       kept.piece[i].end - kept.piece[i].start, kept.piece[i].prot);
	else if (c->in->result >= 0 && err && !kept.failed)
		without_limits(c, try_mprotect, NULL);
	free(kept.piece);
	return kept.failed ? -ENOMEM : 0;
}

static int try_mlock(const struct call *c, void *arg)
{
	(void)arg;
	return quire_mlock(c->mm, c->in->addr, c->in->len,
			   c->in->nr == TRACE_MLOCK2 ? c->in->flags : 0);
}

static int call_mlock(const struct call *c)
{
	int err = try_mlock(c, NULL);

	result_compare(c, err);
	if (c->in->result < 0 && err == 0)
		quire_munlock(c->mm, c->in->addr, c->in->len);
	else if (c->in->result >= 0 && err)
		without_limits(c, try_mlock, NULL);
	return 0;
}

/* Which the recorder looks before, as they may free page tables. */
static bool frees_tables(const struct trace_call *in)
{
	switch (in->nr) {
	case TRACE_MMAP:
		return in->flags & QUIRE_MAP_FIXED;
	case TRACE_BRK:
		return in->addr != 0;
	case TRACE_MADVISE:
		return (int)in->advice == QUIRE_MADV_DONTNEED;
	default:
		return in->nr == TRACE_MUNMAP || in->nr == TRACE_MREMAP || in->nr == TRACE_SHMDT;
	}
}

/* It reached into another process's memory, or its own; what it brought follows. */
static void note_reach(const struct call *c)
{
	c->replay->reach = (struct reach){
		.target = c->in->target, .caller = c->event->process, .thread = c->event->thread,
	};
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
	case TRACE_PROCESS_MADVISE:
		/* What may be advised to others is Linux's affair. */
		return leave_refused(c) ? 0 : call_madvise(c);
	case TRACE_MADVISE:
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
		if (!leave_refused(c))
			result_compare(c, quire_munmap(c->mm, in->addr, in->len));
		return 0;
	case TRACE_MPROTECT:
	case TRACE_PKEY_MPROTECT:
		return call_mprotect(c);
	case TRACE_MSEAL:
		/* A seal cannot be taken off again. */
		if (!leave_refused(c))
			result_compare(c, quire_mseal(c->mm, in->addr, in->len, in->flags));
		return 0;
	case TRACE_MLOCK:
	case TRACE_MLOCK2:
		return call_mlock(c);
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
	case TRACE_PROCESS_VM_READV:
	case TRACE_PROCESS_VM_WRITEV:
	case TRACE_VMSPLICE:
		note_reach(c);
		return 0;
	default:
		/* What Linux refused left nothing to account for. */
		return in->result < 0 ? 0 :
			note_call(c, in->name ? in->name : trace_call_name(in->nr));
	}
}

/* Does it work on a mapping of a file, or on several mappings? */
static bool on_file(const struct call *c)
{
	uint64_t addr = c->in->nr == TRACE_MMAP ? (uint64_t)c->in->result : c->in->addr, offset;

	return c->in->nr == TRACE_MLOCKALL ||
	       replay_file_at(c->replay, c->mm, addr, &offset) != NULL;
}

int replay_call(struct replay *replay, const struct trace_event *event)
{
	uint32_t process = event->call.nr == TRACE_PROCESS_MADVISE ? event->call.target :
								      event->process;
	struct space_slot *space = process == TRACE_NONE ? NULL : replay_space_of(replay, process);
	struct trace_call in = event->call;
	struct call c = { .replay = replay, .event = event, .in = &in };
	uint64_t faults;
	int err;

	replay->result->nr_calls++;
	if (!space || !space->mm)
		return 0;
	/* What a mapping gets then is not what was asked for. */
	if (space->read_is_exec && in.prot & QUIRE_PROT_READ)
		in.prot |= QUIRE_PROT_EXEC;
	c.space = space;
	c.mm = space->mm;
	faults = replay_faults_of(space);
	if (frees_tables(c.in))
		replay_note_tables(space);
	err = call_dispatch(&c);
	faults = replay_faults_of(space) - faults;
	space->account.nr_call_faults += faults;
	if (faults && c.in->nr != TRACE_MREMAP && on_file(&c))
		space->account.nr_forgivable += faults;
	/* Limits were lifted where Linux granted the call: what is short is memory. */
	if (err == -ENOMEM || err == 0)
		return err;
	replay_mismatch(replay, event, "%s could not be repeated: error %d",
			trace_call_name(c.in->nr), -err);
	return 0;
}
