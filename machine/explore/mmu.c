/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory management unit of the explore machine: every part of a
 * translation is a step.
 *
 * A lookup is a step; so is each level of a walk (it reads the entry in memory
 * then, racing with whoever writes it), setting the accessed and dirty bits
 * (a compare-and-swap on the entry), and the fill.  A flush is delivered to
 * each other CPU as a step of its own, at any moment at which that CPU is not
 * in the middle of an access.
 *
 * A walk under way holds the entry it read last, as a page-walk cache would.  A
 * flush of any address that this entry covers makes the walk begin again:
 * without that, the right order (clear, flush, free) would raise a false alarm,
 * for a page and for a table.  A flush elsewhere leaves the walk alone.
 *
 * Found here: a frame freed while a CPU's TLB can still reach it, or in the
 * middle of an access to it; an access through a translation whose frame was
 * freed after the translation was read from the tables; a walk through a table
 * that was freed (by the shadow).
 */
#include <quire/entry.h>

#include "explore/world.h"

#ifdef QUIRE_COUNT_COSTS
#define COUNT(field, n) ((void)(mach_cost()->field += (n)))
#else
#define COUNT(field, n) ((void)sizeof(n))
#endif

#define TABLE_MASK ((UINT64_C(1) << QUIRE_LEVEL_BITS) - 1)

struct translation {
	uint64_t start;    /* of the addresses it covers */
	uint64_t pfn;      /* of the first */
	uint32_t asid;
	uint32_t moment;   /* clock of frees when the leaf was read */
	uint32_t step;     /* of the fill */
	uint8_t level;
	bool valid, write, user, no_exec, dirty;
};

struct mmu_cpu {
	uint64_t root_pfn;
	uint32_t asid;
	bool loaded;
	bool in_access;
	bool walking, squashed;
	uint64_t access_va, access_pfn;
	uint64_t walk_va;
	unsigned walk_level; /* of the entry read last; QUIRE_LEVELS: none yet */
	unsigned next_way;
	struct translation *tlb; /* sets * ways */
};

struct mach_mmu {
	struct mach_mmu *next; /* in xp.state.mmus */
	struct mach_mmu_config config;
	size_t bytes;          /* of this allocation */
	struct mmu_cpu cpus[]; /* then their TLBs */
};

/* The flush that a CPU has asked for and waits for; one at a time. */
static struct flush_request {
	struct mach_mmu *mmu;
	uint32_t asid;
	uint64_t start, end;
	uint64_t waiting; /* CPUs that have not done it */
} requests[XP_NR_FIBERS];

/* ---- create and destroy ---------------------------------------------------------- */

int mach_mmu_create(const struct mach_mmu_config *config, struct mach_mmu **ret_mmu)
{
	size_t entries = (size_t)config->tlb_sets * config->tlb_ways;
	size_t bytes = sizeof(struct mach_mmu) +
		       config->nr_cpus * (sizeof(struct mmu_cpu) +
					  entries * sizeof(struct translation));
	struct mach_mmu *mmu = mach_mem_alloc(bytes, 64);
	struct translation *tlb;

	if (!mmu)
		return -QUIRE_ENOMEM;
	mmu->config = *config;
	mmu->bytes = bytes;
	tlb = (struct translation *)(void *)&mmu->cpus[config->nr_cpus];
	for (unsigned i = 0; i < config->nr_cpus; i++)
		mmu->cpus[i].tlb = tlb + i * entries;
	mmu->next = xp.state.mmus;
	xp.state.mmus = mmu;
	*ret_mmu = mmu;
	return 0;
}

void mach_mmu_destroy(struct mach_mmu *mmu)
{
	struct mach_mmu **at = &xp.state.mmus;

	while (*at && *at != mmu)
		at = &(*at)->next;
	if (*at)
		*at = mmu->next;
	mach_mem_free(mmu, mmu->bytes);
}

static struct mmu_cpu *this_cpu(struct mach_mmu *mmu)
{
	unsigned cpu = xp.current->index;

	if (xp_unlikely(cpu >= mmu->config.nr_cpus))
		mach_stop(__FILE__, __LINE__, "this CPU has no TLB in this mmu");
	return &mmu->cpus[cpu];
}

void mach_mmu_load(struct mach_mmu *mmu, uint64_t root_pfn, uint32_t asid)
{
	struct mmu_cpu *cpu = this_cpu(mmu);

	cpu->root_pfn = root_pfn;
	cpu->asid = asid;
	cpu->loaded = true;
}

/* ---- the TLB ------------------------------------------------------------------------ */

static struct translation *tlb_set(const struct mach_mmu *mmu, struct mmu_cpu *cpu,
				   uint64_t va, unsigned level)
{
	uint64_t set = (va >> QUIRE_LEVEL_SHIFT(level)) & (mmu->config.tlb_sets - 1);

	return cpu->tlb + set * mmu->config.tlb_ways;
}

static struct translation *tlb_find(const struct mach_mmu *mmu, struct mmu_cpu *cpu,
				    uint64_t va)
{
	for (unsigned level = 0; level < QUIRE_LEVELS; level++) {
		uint64_t start = va >> QUIRE_LEVEL_SHIFT(level) << QUIRE_LEVEL_SHIFT(level);
		struct translation *t = tlb_set(mmu, cpu, va, level);

		for (unsigned way = 0; way < mmu->config.tlb_ways; way++, t++)
			if (t->valid && t->level == level && t->asid == cpu->asid &&
			    t->start == start)
				return t;
	}
	return NULL;
}

static void tlb_insert(const struct mach_mmu *mmu, struct mmu_cpu *cpu,
		       const struct translation *new)
{
	struct translation *set = tlb_set(mmu, cpu, new->start, new->level);
	struct translation *victim = NULL;

	for (unsigned way = 0; way < mmu->config.tlb_ways; way++) {
		struct translation *t = &set[way];
		bool same = t->valid && t->asid == new->asid && t->start == new->start &&
			    t->level == new->level;

		if (same || (!victim && !t->valid))
			victim = t;
		if (same)
			break;
	}
	if (!victim)
		victim = &set[cpu->next_way++ % mmu->config.tlb_ways];
	*victim = *new;
}

static bool is_whole(uint64_t start, uint64_t end)
{
	return start == 0 && end == UINT64_MAX;
}

/* What the CPU itself does for a flush. */
static void invalidate(struct mach_mmu *mmu, struct mmu_cpu *cpu, uint32_t asid,
		       uint64_t start, uint64_t end)
{
	size_t entries = (size_t)mmu->config.tlb_sets * mmu->config.tlb_ways;

	for (size_t i = 0; i < entries; i++) {
		struct translation *t = &cpu->tlb[i];
		uint64_t last = t->start + ((UINT64_C(1) << QUIRE_LEVEL_SHIFT(t->level)) - 1);

		if (t->valid && t->asid == asid &&
		    (is_whole(start, end) || (t->start < end && last >= start)))
			t->valid = false;
	}
	if (cpu->walking && cpu->walk_level < QUIRE_LEVELS && cpu->asid == asid) {
		uint64_t reach = UINT64_C(1) << QUIRE_LEVEL_SHIFT(cpu->walk_level);
		uint64_t from = cpu->walk_va & ~(reach - 1);

		cpu->squashed |= is_whole(start, end) ||
				 (from < end && from + (reach - 1) >= start);
	}
}

/* ---- the walk -------------------------------------------------------------------------- */

enum walk_result { WALK_DONE, WALK_AGAIN, WALK_FAULT };

static volatile uint64_t *entry_at(const struct mach_mmu *mmu, uint64_t table_pfn,
				   uint64_t va, unsigned level)
{
	uint64_t index = (va >> QUIRE_LEVEL_SHIFT(level)) & TABLE_MASK;
	char *table = (char *)mmu->config.phys_base + (table_pfn << QUIRE_PAGE_SHIFT);

	return (volatile uint64_t *)(void *)table + index;
}

static uint64_t entry_pfn(uint64_t entry)
{
	return (entry & QUIRE_ENTRY_PFN_MASK) >> QUIRE_ENTRY_PFN_SHIFT;
}

static bool allowed(const struct translation *t, enum mach_access_kind kind)
{
	return t->user && (kind != MACH_WRITE || t->write) &&
	       (kind != MACH_EXEC || !t->no_exec);
}

/* Sets the accessed bit, and the dirty bit for a write, in the leaf. */
static enum walk_result walk_mark(struct mmu_cpu *cpu, volatile uint64_t *at,
				  uint64_t entry, struct translation *t,
				  enum mach_access_kind kind, const void *site)
{
	uint64_t want = QUIRE_ENTRY_ACCESSED | (kind == MACH_WRITE ? QUIRE_ENTRY_DIRTY : 0);

	t->dirty = (entry | want) & QUIRE_ENTRY_DIRTY;
	if ((entry & want) == want)
		return WALK_DONE;
	xp_point(XP_WALK_MARK, at, 8, true, site);
	if (cpu->squashed)
		return WALK_AGAIN;
	xp_check_access(at, 8, "marks, in its page walk, an entry of");
	if (*at != entry) {
		xp_did(XP_WALK_MARK, at, 8, *at, *at, true, site);
		return WALK_AGAIN;
	}
	*at = entry | want;
	xp_did(XP_WALK_MARK, at, 8, entry, entry | want, false, site);
	return WALK_DONE;
}

static _Noreturn void beyond_memory(uint64_t entry, uint64_t va)
{
	xp_fail(EXPLORE_WILD_ACCESS, "cpu%u walks for 0x%llx and finds an entry 0x%llx "
		"that points beyond the memory", xp.current->index,
		(unsigned long long)va, (unsigned long long)entry);
}

static enum walk_result walk(struct mach_mmu *mmu, struct mmu_cpu *cpu, uint64_t va,
			     enum mach_access_kind kind, struct translation *t,
			     const void *site)
{
	uint64_t table_pfn = cpu->root_pfn;

	*t = (struct translation){ .asid = cpu->asid, .write = true, .user = true };
	for (unsigned level = QUIRE_LEVELS; level-- > 0;) {
		volatile uint64_t *at = entry_at(mmu, table_pfn, va, level);
		uint64_t entry;

		xp_point(XP_WALK, at, 8, false, site);
		if (cpu->squashed)
			return WALK_AGAIN;
		xp_check_access(at, 8, "walks through");
		entry = *at;
		cpu->walk_level = level;
		xp_did(XP_WALK, at, 8, entry, entry, false, site);
		if (!(entry & QUIRE_ENTRY_PRESENT))
			return WALK_FAULT;
		if (entry_pfn(entry) >= mmu->config.nr_frames)
			beyond_memory(entry, va);
		t->write &= (entry & QUIRE_ENTRY_WRITE) != 0;
		t->user &= (entry & QUIRE_ENTRY_USER) != 0;
		t->no_exec |= (entry & QUIRE_ENTRY_NX) != 0;
		if (level > 0 && !(entry & QUIRE_ENTRY_LEAF)) {
			table_pfn = entry_pfn(entry);
			continue;
		}
		t->level = (uint8_t)level;
		t->start = va >> QUIRE_LEVEL_SHIFT(level) << QUIRE_LEVEL_SHIFT(level);
		t->pfn = entry_pfn(entry);
		t->moment = xp.state.free_clock;
		if (!allowed(t, kind))
			return WALK_FAULT;
		return walk_mark(cpu, at, entry, t, kind, site);
	}
	__builtin_unreachable();
}

/* Walks until no flush came in between, and fills the TLB. */
static bool walk_and_fill(struct mach_mmu *mmu, struct mmu_cpu *cpu, uint64_t va,
			  enum mach_access_kind kind, struct translation *t,
			  const void *site)
{
	enum walk_result result;

	COUNT(tlb_misses, 1);
	cpu->walking = true;
	cpu->walk_va = va;
	do {
		cpu->squashed = false;
		cpu->walk_level = QUIRE_LEVELS;
		result = walk(mmu, cpu, va, kind, t, site);
		if (result != WALK_DONE)
			continue;
		xp_point(XP_TLB_FILL, (const void *)(uintptr_t)va, 0, true, site);
		if (cpu->squashed)
			result = WALK_AGAIN;
	} while (result == WALK_AGAIN);
	cpu->walking = false;
	if (result == WALK_FAULT)
		return false;
	t->valid = true;
	t->step = (uint32_t)xp.steps;
	tlb_insert(mmu, cpu, t);
	xp_did(XP_TLB_FILL, (const void *)(uintptr_t)va, 0, 0, t->pfn, false, site);
	return true;
}

/* ---- accesses ------------------------------------------------------------------------------ */

static void check_not_stale(const struct mach_mmu *mmu, const struct translation *t,
			    uint64_t va, uint64_t pfn)
{
	const struct xp_range *range = xp_range_of(mmu->config.phys_base);
	const struct xp_freed *freed;

	if (!range || xp_likely(range->generations[pfn] <= t->moment))
		return;
	freed = &range->freed[pfn];
	xp_fail(EXPLORE_STALE_TRANSLATION,
		"stale translation: cpu%u reaches 0x%llx through a TLB entry filled at step "
		"%u; its frame %llu was freed by cpu%u at step %u, before the flush was done",
		xp.current->index, (unsigned long long)va, t->step,
		(unsigned long long)pfn, freed->actor, freed->step);
}

int mach_mmu_access_begin(struct mach_mmu *mmu, uint64_t va, enum mach_access_kind kind,
			  struct mach_access *access)
{
	struct mmu_cpu *cpu = this_cpu(mmu);
	const void *site = XP_SITE;
	struct translation found, *t;
	uint64_t pfn;

	if (cpu->in_access)
		mach_stop(__FILE__, __LINE__, "an access within an access");
	if (!cpu->loaded || va >> QUIRE_VA_BITS)
		return -QUIRE_EFAULT;
	xp_point(XP_TLB_LOOKUP, (const void *)(uintptr_t)va, 0, false, site);
	t = tlb_find(mmu, cpu, va);
	xp_did(XP_TLB_LOOKUP, (const void *)(uintptr_t)va, 0, 0, t ? t->pfn : 0, !t, site);
	if (t && allowed(t, kind) && (kind != MACH_WRITE || t->dirty)) {
		found = *t;
	} else {
		if (t)
			t->valid = false;
		if (!walk_and_fill(mmu, cpu, va, kind, &found, site))
			return -QUIRE_EFAULT;
	}
	pfn = found.pfn + ((va - found.start) >> QUIRE_PAGE_SHIFT);
	if (xp_unlikely(pfn >= mmu->config.nr_frames))
		beyond_memory(found.pfn, va);
	check_not_stale(mmu, &found, va, pfn);
	cpu->in_access = true;
	cpu->access_va = va;
	cpu->access_pfn = pfn;
	xp.in_access |= XP_BIT(xp.current->index);
	xp.enabled &= ~XP_BIT(XP_INTERRUPTS + xp.current->index);
	access->mem = (char *)mmu->config.phys_base + (pfn << QUIRE_PAGE_SHIFT) +
		      (va & ~QUIRE_PAGE_MASK);
	access->pfn = pfn;
	access->writable = found.write && found.dirty;
	return 0;
}

void mach_mmu_access_end(struct mach_mmu *mmu)
{
	struct mmu_cpu *cpu = this_cpu(mmu);
	unsigned index = xp.current->index;

	if (!cpu->in_access)
		mach_stop(__FILE__, __LINE__, "ends an access that it has not begun");
	xp_point(XP_ACCESS_END, (const void *)(uintptr_t)cpu->access_va, 0, false, XP_SITE);
	cpu->in_access = false;
	xp.in_access &= ~XP_BIT(index);
	if (xp.interrupts[index])
		xp.enabled |= XP_BIT(XP_INTERRUPTS + index);
	xp_did(XP_ACCESS_END, (const void *)(uintptr_t)cpu->access_va, 0, 0, cpu->access_pfn,
	       false, XP_SITE);
}

static const char *page_of(const struct mach_mmu *mmu, uint64_t pfn)
{
	return (const char *)mmu->config.phys_base + (pfn << QUIRE_PAGE_SHIFT);
}

/* Where the CPU could reach [mem, mem + bytes) by what its TLB holds now. */
static const struct translation *tlb_reaches(const struct mach_mmu *mmu,
					     const struct mmu_cpu *cpu, const char *mem,
					     size_t bytes)
{
	size_t entries = (size_t)mmu->config.tlb_sets * mmu->config.tlb_ways;

	for (size_t i = 0; cpu->loaded && i < entries; i++) {
		const struct translation *t = &cpu->tlb[i];
		const char *start = page_of(mmu, t->pfn);

		if (t->valid && t->asid == cpu->asid && start < mem + bytes &&
		    start + (UINT64_C(1) << QUIRE_LEVEL_SHIFT(t->level)) > mem)
			return t;
	}
	return NULL;
}

static void check_free_on(const struct mach_mmu *mmu, unsigned index, const char *mem,
			  size_t bytes)
{
	const struct mmu_cpu *cpu = &mmu->cpus[index];
	const struct translation *t;

	if (cpu->in_access && (uint64_t)(page_of(mmu, cpu->access_pfn) - mem) < bytes)
		xp_fail(EXPLORE_STALE_TRANSLATION,
			"stale translation: cpu%u frees frame %llu in the middle of an access "
			"of cpu%u to 0x%llx", xp.current->index,
			(unsigned long long)cpu->access_pfn, index,
			(unsigned long long)cpu->access_va);
	t = tlb_reaches(mmu, cpu, mem, bytes);
	if (t)
		xp_fail(EXPLORE_STALE_TRANSLATION,
			"stale translation: cpu%u frees frame %llu while cpu%u still reaches "
			"it at 0x%llx through a TLB entry filled at step %u: no flush has "
			"removed it", xp.current->index,
			(unsigned long long)((uint64_t)(mem - page_of(mmu, 0)) >>
					     QUIRE_PAGE_SHIFT), index,
			(unsigned long long)t->start, t->step);
}

/*
 * What a CPU's TLB holds for the address space it is in, its program may use
 * at any moment, and the hardware may by itself: a frame that can still be
 * reached so must not be freed.  Entries of other address spaces may stay.
 */
void xp_mmu_note_free(const char *mem, size_t bytes)
{
	if (!xp.scheduling)
		return;
	for (struct mach_mmu *mmu = xp.state.mmus; mmu; mmu = mmu->next)
		for (unsigned i = 0; i < mmu->config.nr_cpus; i++)
			check_free_on(mmu, i, mem, bytes);
}

/* ---- flushes -------------------------------------------------------------------------------- */

bool xp_mmu_flush_done(const struct xp_actor *actor)
{
	return requests[actor->index].waiting == 0;
}

void xp_mmu_deliver(unsigned cpu)
{
	unsigned from = (unsigned)__builtin_ctzll(xp.interrupts[cpu]);
	struct flush_request *request = &requests[from];

	invalidate(request->mmu, &request->mmu->cpus[cpu], request->asid, request->start,
		   request->end);
	xp.interrupts[cpu] &= ~XP_BIT(from);
	if (!xp.interrupts[cpu])
		xp.enabled &= ~XP_BIT(XP_INTERRUPTS + cpu);
	request->waiting &= ~XP_BIT(cpu);
	xp_did_as(XP_INTERRUPTS + cpu, XP_FLUSH_DELIVER,
		  (const void *)(uintptr_t)request->start, 0, from, request->end, false, NULL);
	if (request->waiting == 0)
		xp_recheck(NULL);
}

static void send_interrupts(struct mach_mmu *mmu, uint64_t to, uint32_t asid,
			    uint64_t start, uint64_t end)
{
	unsigned me = xp.current->index;

	requests[me] = (struct flush_request){ mmu, asid, start, end, to };
	while (to) {
		unsigned cpu = (unsigned)__builtin_ctzll(to);

		to &= to - 1;
		xp.interrupts[cpu] |= XP_BIT(me);
		if (!(xp.in_access & XP_BIT(cpu)))
			xp.enabled |= XP_BIT(XP_INTERRUPTS + cpu);
	}
}

void mach_mmu_flush(struct mach_mmu *mmu, struct mach_cpuset cpus, uint32_t asid,
		    uint64_t start, uint64_t end)
{
	const void *va = (const void *)(uintptr_t)start;
	struct mmu_cpu *self = this_cpu(mmu);
	unsigned me = xp.current->index;
	uint64_t others = cpus.bits & ~XP_BIT(me);

	if (self->in_access)
		mach_stop(__FILE__, __LINE__, "a flush within an access");
	if (mmu->config.nr_cpus < 64)
		others &= XP_BIT(mmu->config.nr_cpus) - 1;
	COUNT(tlb_flushes, 1);
	COUNT(tlb_interrupts, (unsigned)__builtin_popcountll(others));
	xp_point(XP_FLUSH, va, 0, true, XP_SITE);
	xp_did(XP_FLUSH, va, 0, cpus.bits, end, false, XP_SITE);
	if (cpus.bits & XP_BIT(me))
		invalidate(mmu, self, asid, start, end);
	if (!xp.scheduling) {
		for (unsigned i = 0; others >> i && i < 64; i++)
			if (others & XP_BIT(i))
				invalidate(mmu, &mmu->cpus[i], asid, start, end);
		return;
	}
	others &= XP_BIT(xp.nr_cpus + 1) - 1;
	if (!others)
		return;
	send_interrupts(mmu, others, asid, start, end);
	xp_block(XP_FLUSH_DONE, va, 0, XP_SITE);
	xp_did(XP_FLUSH_DONE, va, 0, 0, 0, false, XP_SITE);
}
