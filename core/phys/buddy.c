/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The buddy allocator, and the per-CPU lists of single frames before it.
 *
 * Guarantees.  A single frame is allocated and freed without a lock unless the
 * CPU's list is empty or full; then a batch moves under one hold of the zone
 * lock.  A larger folio costs the zone lock and one descriptor write a frame.
 * Freed blocks are joined with their buddies at once, so a folio of order n
 * can be had whenever an aligned run of 2^n frames is off the CPU lists.
 *
 * Design.  Knuth, The Art of Computer Programming 1, 2.5 (the buddy system);
 * the lists per CPU follow Bonwick and Adams, "Magazines and Vmem" (2001), with
 * an array for the list: the newest freed frame, whose lines are warm, is used
 * first, and the oldest leave.  A batch is cut from the smallest blocks there
 * are, which keeps large ones whole.
 *
 * Nothing but the two flags FRAME_FREE and FRAME_PERCPU is kept true of a free
 * frame: allocation writes a descriptor anew.
 */
#include <quire/entry.h>

#include "phys/phys.h"
#include "phys/objcache.h"

#include "base/bits.h"
#include "base/cost.h"
#include "base/memory.h"

/* Tiny geometries have tiny memories. */
#define CPU_LIST_MAX (PAGE_SHIFT < 12 ? 14u : 510u)

struct phys_cpu {
	u32 nr;                             /* (A) written by its CPU alone */
	struct frame *frames[CPU_LIST_MAX]; /* the newest last */
} __attribute__((aligned(64)));

/* ---- the lists of free blocks -------------------------------------------- */

static void block_insert(struct phys *phys, struct frame *head, unsigned order)
{
	atomic_store(&head->flags, (u32)FRAME_FREE);
	head->order = (u8)order;
	list_push(&phys->free[order], &head->lru);
	phys->nr_free_by_order[order]++;
	phys->free_orders |= 1u << order;
}

/* Leaves the flags 0: the frame is no head of a block any more. */
static void block_remove(struct phys *phys, struct frame *head, unsigned order)
{
	atomic_store(&head->flags, 0u);
	list_remove(&head->lru);
	if (--phys->nr_free_by_order[order] == 0)
		phys->free_orders &= ~(1u << order);
}

static void add_nr_free(struct phys *phys, u64 nr)
{
	atomic_store(&phys->nr_free, atomic_load(&phys->nr_free) + nr);
}

/* Joins the block with its free buddies and lists the result. */
static void block_free_locked(struct phys *phys, struct frame *head, unsigned order)
{
	u64 pfn = frame_pfn(phys, head).v;

	add_nr_free(phys, BIT(order));
	/* It may end up inside a block: no flag may stay behind. */
	atomic_store(&head->flags, 0u);
	for (; order < QUIRE_MAX_ORDER; order++) {
		u64 buddy_pfn = pfn ^ BIT(order);
		struct frame *buddy = &phys->frames[buddy_pfn];

		if (buddy_pfn >= phys->nr_frames || !frame_test(buddy, FRAME_FREE) ||
		    buddy->order != order)
			break;
		block_remove(phys, buddy, order);
		pfn &= buddy_pfn;
	}
	block_insert(phys, &phys->frames[pfn], order);
}

/* Halves a block off the lists until it has `order`; the rest is listed. */
static void block_split_locked(struct phys *phys, struct frame *head, unsigned from,
			       unsigned order)
{
	while (from > order) {
		from--;
		block_insert(phys, head + BIT(from), from);
	}
}

/* A block of exactly `order`, off the lists; NULL when there is none. */
static struct frame *block_alloc_locked(struct phys *phys, unsigned order)
{
	u32 fitting = phys->free_orders >> order;
	struct frame *head;
	unsigned from;

	if (!fitting)
		return NULL;
	from = order + bit_lowest(fitting);
	head = list_first(&phys->free[from], struct frame, lru);
	block_remove(phys, head, from);
	block_split_locked(phys, head, from, order);
	add_nr_free(phys, -BIT(order));
	return head;
}

/* ---- per-CPU lists ---------------------------------------------------------- */

/*
 * Takes up to `want` single frames from the smallest blocks and puts them at
 * frames[0..]; the lowest address of a block comes last, to be used first.
 */
static u32 zone_take_frames(struct phys *phys, struct frame **frames, u32 want)
{
	u32 got = 0;

	spin_lock(&phys->zone);
	while (got < want && phys->free_orders) {
		unsigned from = bit_lowest(phys->free_orders);
		unsigned fits = bit_highest(want - got);
		unsigned order = from < fits ? from : fits;
		struct frame *head = block_alloc_locked(phys, order);

		for (u64 i = BIT(order); i-- > 0;) {
			atomic_store(&head[i].flags, (u32)FRAME_PERCPU);
			frames[got++] = head + i;
		}
	}
	spin_unlock(&phys->zone);
	return got;
}

/* Frees frames that lie one behind the other, in the largest aligned blocks. */
static void run_free_locked(struct phys *phys, struct frame *first, u64 nr)
{
	for (u64 i = 0; i < nr; i++)
		atomic_store(&first[i].flags, 0u);
	while (nr) {
		unsigned aligned = bit_lowest(frame_pfn(phys, first).v);
		unsigned order = (unsigned)u64_min(aligned, bit_highest(nr));

		block_free_locked(phys, first, order);
		first += BIT(order);
		nr -= BIT(order);
	}
}

/*
 * Frames are often freed in the order in which they were cut from a block, or
 * in the opposite one: such a run is joined here, not pair by pair.
 */
static void zone_give_frames(struct phys *phys, struct frame **frames, u32 nr)
{
	spin_lock(&phys->zone);
	for (u32 i = 0; i < nr;) {
		struct frame *first = frames[i];
		u32 up = 1, down = 1;

		while (i + up < nr && frames[i + up] == first + up)
			up++;
		while (up == 1 && i + down < nr && frames[i + down] == first - down)
			down++;
		run_free_locked(phys, first - (down - 1), up > 1 ? up : down);
		i += up > 1 ? up : down;
	}
	spin_unlock(&phys->zone);
}

/* This CPU's list; NULL on a CPU that has none. */
static inline struct phys_cpu *own_list(struct phys *phys)
{
	unsigned cpu = mach_cpu();

	return likely(cpu < phys->nr_cpus) ? &phys->cpus[cpu] : NULL;
}

/* The list is empty, or there is none. */
static NOINLINE struct frame *frame_alloc_slow(struct phys *phys)
{
	struct phys_cpu *list = own_list(phys);
	struct frame *frame = NULL;
	u32 nr;

	if (!list)
		return zone_take_frames(phys, &frame, 1) ? frame : NULL;
	nr = zone_take_frames(phys, list->frames, phys->cpu_batch);
	if (nr == 0)
		return NULL;
	atomic_store(&list->nr, nr - 1);
	return list->frames[nr - 1];
}

/* The oldest frames leave, the younger move down. */
static void list_flush(struct phys *phys, struct phys_cpu *list, u32 nr)
{
	u32 left = list->nr - nr;

	zone_give_frames(phys, list->frames, nr);
	mem_move(list->frames, list->frames + nr, left * sizeof(list->frames[0]));
	atomic_store(&list->nr, left);
}

static inline void list_append_frame(struct phys_cpu *list, struct frame *frame, u32 nr)
{
	list->frames[nr] = frame;
	atomic_store(&list->nr, nr + 1);
}

/* The list is full, or there is none. */
static NOINLINE void frame_free_slow(struct phys *phys, struct frame *frame)
{
	struct phys_cpu *list = own_list(phys);

	if (!list) {
		zone_give_frames(phys, &frame, 1);
		return;
	}
	list_flush(phys, list, phys->cpu_batch);
	list_append_frame(list, frame, list->nr);
}

static inline void frame_free(struct phys *phys, struct frame *frame)
{
	struct phys_cpu *list = own_list(phys);

	atomic_store(&frame->flags, (u32)FRAME_PERCPU);
	if (unlikely(!list) || unlikely(list->nr == phys->cpu_high))
		frame_free_slow(phys, frame);
	else
		list_append_frame(list, frame, list->nr);
}

void phys_drain_cpu(struct phys *phys)
{
	struct phys_cpu *list = own_list(phys);

	if (list)
		list_flush(phys, list, list->nr);
}

/* ---- folios -------------------------------------------------------------------- */

/*
 * Writes a descriptor anew, but for the references.  Flags are written
 * atomically because an allocation beside this one may look whether its buddy
 * is free.
 */
static inline void frame_init(struct frame *frame, u32 flags, unsigned order)
{
	atomic_store(&frame->flags, flags);
	frame->order = (u8)order;
	list_init(&frame->lru);
	frame->mapping = NULL;
	frame->index = 0;
	frame->private = 0;
	frame->mapcount = 0;
	mutex_init(&frame->lock, LOCK_RANK_folio);
}

static void folio_init_tails(struct folio *folio, unsigned order)
{
	for (u64 i = 1; i < BIT(order); i++) {
		struct frame *tail = folio_frame(folio, i);

		frame_init(tail, FRAME_TAIL, 0);
		refcount_init(&tail->refs, 0);
		tail->head = folio;
	}
}

static NOINLINE struct frame *large_alloc(struct phys *phys, unsigned order)
{
	struct frame *head;

	if (order > QUIRE_MAX_ORDER)
		return NULL;
	spin_lock(&phys->zone);
	head = block_alloc_locked(phys, order);
	spin_unlock(&phys->zone);
	if (!head) {
		/* Frames of this CPU's list may be what keeps buddies apart. */
		phys_drain_cpu(phys);
		spin_lock(&phys->zone);
		head = block_alloc_locked(phys, order);
		spin_unlock(&phys->zone);
	}
	if (head)
		folio_init_tails((struct folio *)(void *)head, order);
	return head;
}

static NOINLINE struct folio *folio_clear_bytes(struct phys *phys, struct folio *folio)
{
	u64 bytes = PAGE_SIZE << folio->order;

	mem_zero(folio_bytes(phys, folio), bytes);
	COST_ADD(bytes_cleared, bytes);
	return folio;
}

/* Makes a folio of a frame, or of a run of them with their tails written. */
static inline struct folio *folio_init(struct phys *phys, struct frame *head, unsigned order)
{
	COST_ADD(frames_allocated, BIT(order));
	mach_note_alloc(frame_bytes(phys, head), PAGE_SIZE << order);
	frame_init(head, 0, order);
	/* RELEASE: who takes a reference to a frame it found without one
	 * (refcount_get_unless_zero) sees the descriptor written above. */
	atomic_store_release(&head->refs.value, 1u);
	return (struct folio *)(void *)head;
}

static struct frame *frames_alloc_slow(struct phys *phys, unsigned order)
{
	return order == 0 ? frame_alloc_slow(phys) : large_alloc(phys, order);
}

/* Anything but a single frame from this CPU's list. */
static NOINLINE struct folio *folio_alloc_slow(struct phys *phys, unsigned order,
					       unsigned flags)
{
	struct frame *head = frames_alloc_slow(phys, order);

	if (unlikely(!head) && objcaches_shrink(phys)) {
		/* What came back may lie on the list that was empty before. */
		phys_drain_cpu(phys);
		head = frames_alloc_slow(phys, order);
	}
	if (!head)
		return NULL;
	if (flags & ALLOC_ZERO)
		return folio_clear_bytes(phys, folio_init(phys, head, order));
	return folio_init(phys, head, order);
}

struct folio *folio_alloc(struct phys *phys, unsigned order, unsigned flags)
{
	struct phys_cpu *list = own_list(phys);
	struct frame *head;
	u32 nr;

	if (mach_should_fail())
		return NULL;
	if (unlikely(order != 0) || unlikely(!list) || unlikely(list->nr == 0))
		return folio_alloc_slow(phys, order, flags);
	nr = list->nr - 1;
	head = list->frames[nr];
	atomic_store(&list->nr, nr);
	if (flags & ALLOC_ZERO)
		return folio_clear_bytes(phys, folio_init(phys, head, 0));
	return folio_init(phys, head, 0);
}

static NOINLINE void large_free(struct phys *phys, struct folio *folio, unsigned order)
{
	spin_lock(&phys->zone);
	block_free_locked(phys, &folio->frame, order);
	spin_unlock(&phys->zone);
}

/* What is no folio's head, or is free. */
#define FRAME_NOT_FREED (FRAME_FREE | FRAME_PERCPU | FRAME_TAIL)

static inline void frames_free(struct phys *phys, struct folio *folio)
{
	unsigned order = folio->order;

	check(refcount_read(&folio->refs) == 0);
	COST_ADD(frames_freed, BIT(order));
	if (mach_note_free(folio_bytes(phys, folio), PAGE_SIZE << order))
		atomic_fetch_add(&phys->nr_quarantined, BIT(order));
	else if (likely(order == 0))
		frame_free(phys, &folio->frame);
	else
		large_free(phys, folio, order);
}

/* Out of line, and the last that its caller does: the others save no registers. */
static NOINLINE void folio_free_noted(struct phys *phys, struct folio *folio, u32 flags)
{
	ensure(!(flags & FRAME_NOT_FREED));
	phys->above.forget_folio(phys->above.arg, folio);
	frames_free(phys, folio);
}

static inline void folio_free_any(struct phys *phys, struct folio *folio)
{
	u32 flags = atomic_load(&folio->flags);

	if (unlikely(flags & (FRAME_NOT_FREED | FRAME_PARTLY_MAPPED)))
		folio_free_noted(phys, folio, flags);
	else
		frames_free(phys, folio);
}

void folio_free(struct phys *phys, struct folio *folio)
{
	folio_free_any(phys, folio);
}

/* Out of line, and the last that its caller does: as folio_free_noted(). */
static NOINLINE void folio_put_n_word(struct phys *phys, struct folio *folio, u32 n)
{
	if (folio_put_word(folio, n))
		folio_free_any(phys, folio);
}

void folio_put_n(struct phys *phys, struct folio *folio, u32 n)
{
	if (unlikely(folio_has_word_refs(folio)))
		folio_put_n_word(phys, folio, n);
	else if (refcount_put(&folio->refs, n))
		folio_free_any(phys, folio);
}

void folio_put_many(struct phys *phys, struct folio **folios, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		if (folio_drop_n(folios[i], 1))
			folio_free_any(phys, folios[i]);
}

void folio_split_frames(struct phys *phys, struct folio *folio, unsigned order, u32 refs)
{
	u32 flags = atomic_load(&folio->flags) & ~(u32)FRAME_WORD_REFS;
	void *mapping = folio->mapping;
	u64 index = folio->index;
	unsigned from = folio->order;

	(void)phys;
	check(order <= from && refcount_read(&folio->refs) == 0);
	for (u64 i = 0; i < BIT(from); i++) {
		struct frame *frame = folio_frame(folio, i);
		u32 mapcount = atomic_load(&frame->mapcount);

		if (i == 0) {
			frame_clear(frame, FRAME_WORD_REFS);
			frame->order = (u8)order;
			frame->private = 0;
		} else if (is_aligned(i, BIT(order))) {
			frame_init(frame, flags, order);
			frame->mapping = mapping;
			frame->index = index + i;
			frame->mapcount = mapcount;
		} else {
			frame_init(frame, FRAME_TAIL, 0);
			frame->head = (struct folio *)(void *)folio_frame(
				folio, align_down(i, BIT(order)));
			frame->mapcount = mapcount;
			continue;
		}
		/* RELEASE as in folio_alloc. */
		atomic_store_release(&frame->refs.value, refs);
	}
}

/* ---- the instance's memory ---------------------------------------------------------- */

/* Lists frames 1 .. nr_frames-1 in the largest aligned blocks. */
static void list_all_frames(struct phys *phys)
{
	u64 pfn = 1;

	while (pfn < phys->nr_frames) {
		unsigned order = u64_min(bit_lowest(pfn), QUIRE_MAX_ORDER) & 63u;

		while (pfn + BIT(order) > phys->nr_frames)
			order--;
		block_insert(phys, &phys->frames[pfn], order);
		phys->nr_free += BIT(order);
		pfn += BIT(order);
	}
}

/* Lists are at most an eighth of memory together, and never without use. */
static void choose_list_length(struct phys *phys)
{
	u64 share = phys->nr_frames / (8 * (u64)phys->nr_cpus);

	phys->cpu_high = (u32)u64_min(u64_max(share, 2), CPU_LIST_MAX);
	phys->cpu_batch = (u32)u64_max(phys->cpu_high / 3, 1);
}

/* Folios are aligned to their size in the host's addresses too. */
static size_t base_alignment(u64 nr_frames)
{
	return PAGE_SIZE << u64_min(order_covering(nr_frames), QUIRE_MAX_ORDER);
}

int phys_init(struct phys *phys, u64 nr_frames, unsigned nr_cpus)
{
	struct phys new = { .nr_frames = nr_frames, .nr_cpus = nr_cpus, .nr_reserved = 1 };

	if (nr_frames < 2 || nr_frames > BIT(QUIRE_ENTRY_PFN_BITS) || nr_cpus < 1 ||
	    nr_cpus > MACH_MAX_CPUS)
		return -QUIRE_EINVAL;
	new.base = mach_should_fail() ? NULL :
		   mach_phys_create(nr_frames << PAGE_SHIFT, base_alignment(nr_frames));
	if (!new.base)
		return -QUIRE_ENOMEM;
	new.frames = mach_should_fail() ? NULL :
		     mach_mem_alloc(nr_frames * sizeof(struct frame), 64);
	if (!new.frames)
		goto no_frames;
	new.cpus = mach_should_fail() ? NULL :
		   mach_mem_alloc(nr_cpus * sizeof(struct phys_cpu), 64);
	if (!new.cpus)
		goto no_cpus;
	*phys = new;
	spin_init(&phys->zone, LOCK_RANK_zone);
	list_init(&phys->caches);
	for (unsigned order = 0; order <= QUIRE_MAX_ORDER; order++)
		list_init(&phys->free[order]);
	choose_list_length(phys);
	list_all_frames(phys);
	return 0;

no_cpus:
	mach_mem_free(new.frames, nr_frames * sizeof(struct frame));
no_frames:
	mach_phys_destroy(new.base, nr_frames << PAGE_SHIFT);
	return -QUIRE_ENOMEM;
}

u64 phys_fini(struct phys *phys)
{
	u64 nr_leaked = phys->nr_frames - phys->nr_reserved - phys_nr_free(phys) -
			atomic_load(&phys->nr_quarantined);

	mach_mem_free(phys->cpus, phys->nr_cpus * sizeof(struct phys_cpu));
	mach_mem_free(phys->frames, phys->nr_frames * sizeof(struct frame));
	mach_phys_destroy(phys->base, phys->nr_frames << PAGE_SHIFT);
	*phys = (struct phys){ 0 };
	return nr_leaked;
}

u64 phys_nr_free(const struct phys *phys)
{
	u64 nr = atomic_load(&phys->nr_free);

	for (unsigned cpu = 0; cpu < phys->nr_cpus; cpu++)
		nr += atomic_load(&phys->cpus[cpu].nr);
	return nr;
}

/* ---- the invariants -------------------------------------------------------------------- */

/* Invariants 1 and 3 for the block at `pfn`; returns its length. */
static u64 check_block(struct phys *phys, u64 pfn)
{
	struct frame *head = &phys->frames[pfn];
	unsigned order = head->order;
	u64 nr = BIT(order), buddy = pfn ^ nr;

	ensure(order <= QUIRE_MAX_ORDER && is_aligned(pfn, nr) && pfn + nr <= phys->nr_frames);
	for (u64 i = 1; i < nr; i++)
		ensure(!(atomic_load(&head[i].flags) & (FRAME_FREE | FRAME_PERCPU)));
	if (order < QUIRE_MAX_ORDER && buddy < phys->nr_frames)
		ensure(!frame_test(&phys->frames[buddy], FRAME_FREE) ||
		       phys->frames[buddy].order != order);
	return nr;
}

/* Invariant 4, and that what is listed is flagged. */
static u64 check_lists(struct phys *phys)
{
	u64 nr_blocks = 0, nr_frames = 0;

	for (unsigned order = 0; order <= QUIRE_MAX_ORDER; order++) {
		u64 nr = 0;

		list_for_each(pos, &phys->free[order]) {
			struct frame *head = list_entry(pos, struct frame, lru);

			ensure(frame_test(head, FRAME_FREE) && head->order == order);
			nr++;
		}
		ensure(nr == phys->nr_free_by_order[order]);
		ensure((nr != 0) == ((phys->free_orders >> order & 1) != 0));
		nr_blocks += nr;
		nr_frames += nr << order;
	}
	ensure(nr_frames == atomic_load(&phys->nr_free));
	return nr_blocks;
}

/* Invariant 2, seen from the lists; returns their length. */
static u64 check_cpu_lists(struct phys *phys)
{
	u64 nr = 0;

	for (unsigned cpu = 0; cpu < phys->nr_cpus; cpu++) {
		const struct phys_cpu *list = &phys->cpus[cpu];

		ensure(list->nr <= phys->cpu_high);
		for (u32 i = 0; i < list->nr; i++)
			ensure(atomic_load(&list->frames[i]->flags) == FRAME_PERCPU);
		nr += list->nr;
	}
	return nr;
}

void phys_check(struct phys *phys)
{
	u64 nr_blocks, nr_percpu, pfn = 0;

	spin_lock(&phys->zone);
	nr_blocks = check_lists(phys);
	nr_percpu = check_cpu_lists(phys);
	ensure(!(atomic_load(&phys->frames[0].flags) & (FRAME_FREE | FRAME_PERCPU)));
	while (pfn < phys->nr_frames) {
		u32 flags = atomic_load(&phys->frames[pfn].flags);

		ensure(!(flags & FRAME_FREE) || !(flags & FRAME_PERCPU));
		nr_percpu -= (flags & FRAME_PERCPU) != 0;
		nr_blocks -= (flags & FRAME_FREE) != 0;
		pfn += flags & FRAME_FREE ? check_block(phys, pfn) : 1;
	}
	ensure(nr_blocks == 0 && nr_percpu == 0);
	spin_unlock(&phys->zone);
}
