/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MMU of the threads machine: a TLB for each CPU, under its own lock.
 *
 * An access holds the lock of its CPU's TLB from the lookup to its end, and a
 * fill happens inside; a flush takes the lock of every TLB it is to reach.
 * So a flush returns only when no access through what it removed is in
 * flight, and no walk that began before it fills the TLB after it: what the
 * interrupt of a real machine and its acknowledgement see to.  Uncontended,
 * an access costs one atomic exchange.
 *
 * It follows that between the two ends of an access a CPU must not wait for
 * another one, which may be waiting for its lock.
 */
#include <quire/machine.h>

#include <quire/errno.h>

#include "common/mmu.h"

#ifdef QUIRE_COUNT_COSTS
#define COUNT(field, n) ((void)(mach_cost()->field += (n)))
#else
#define COUNT(field, n) ((void)sizeof(n))
#endif

/* What one CPU translates with; all under its lock. */
struct cpu_mmu {
	struct mach_spin lock;
	uint64_t root_pfn; /* 0: none loaded, frame 0 is never a table */
	struct mmu_tlb tlb;
} __attribute__((aligned(64)));

struct mach_mmu {
	struct mmu_memory memory;
	size_t bytes;          /* of this allocation */
	unsigned nr_cpus;
	struct cpu_mmu cpus[]; /* then the entries of their TLBs */
};

int threads_mmu_create(const struct mach_mmu_config *config, struct mach_mmu **ret_mmu)
{
	size_t nr_entries = (size_t)config->tlb_sets * config->tlb_ways;
	size_t bytes = sizeof(struct mach_mmu) + config->nr_cpus * sizeof(struct cpu_mmu) +
		       config->nr_cpus * nr_entries * sizeof(struct mmu_translation);
	struct mach_mmu *mmu = mach_mem_alloc(bytes, 64);
	struct mmu_translation *entries;

	if (!mmu)
		return -QUIRE_ENOMEM;
	mmu->memory = (struct mmu_memory){ config->phys_base, config->nr_frames };
	mmu->bytes = bytes;
	mmu->nr_cpus = config->nr_cpus;
	entries = (struct mmu_translation *)(void *)&mmu->cpus[config->nr_cpus];
	for (unsigned cpu = 0; cpu < config->nr_cpus; cpu++)
		mmu_tlb_init(&mmu->cpus[cpu].tlb, entries + cpu * nr_entries,
			     config->tlb_sets, config->tlb_ways);
	*ret_mmu = mmu;
	return 0;
}

void threads_mmu_destroy(struct mach_mmu *mmu)
{
	mach_mem_free(mmu, mmu->bytes);
}

static inline struct cpu_mmu *own_mmu(struct mach_mmu *mmu)
{
	unsigned cpu = mach_cpu();

	if (threads_unlikely(cpu >= mmu->nr_cpus))
		mach_stop(__FILE__, __LINE__, "this CPU has no TLB here");
	return &mmu->cpus[cpu];
}

void threads_mmu_load(struct mach_mmu *mmu, uint64_t root_pfn, uint32_t asid)
{
	struct cpu_mmu *own = own_mmu(mmu);

	mach_spin_lock(&own->lock);
	own->root_pfn = root_pfn;
	mmu_tlb_load(&own->tlb, asid);
	mach_spin_unlock(&own->lock);
}

static inline void set_access(const struct mach_mmu *mmu, uint64_t va,
			      const struct mmu_translation *found, struct mach_access *access)
{
	access->pfn = found->pfn + ((va >> QUIRE_PAGE_SHIFT) - found->page);
	access->mem = mmu->memory.base + (access->pfn << QUIRE_PAGE_SHIFT) +
		      (va & ~QUIRE_PAGE_MASK);
	access->writable = mmu_allows(found, MACH_WRITE);
}

/* The TLB has nothing for the access, or something that does not allow it. */
static __attribute__((noinline)) int access_slow(const struct mach_mmu *mmu,
						 struct cpu_mmu *own, uint64_t va,
						 enum mach_access_kind kind,
						 struct mmu_translation *stale,
						 struct mach_access *access)
{
	struct mmu_translation found;
	int err = -QUIRE_EFAULT;

	COUNT(tlb_misses, 1);
	if (stale)
		stale->epoch = 0;
	if (own->root_pfn)
		err = mmu_walk(&mmu->memory, own->root_pfn, va, kind, &found);
	if (err) {
		mach_spin_unlock(&own->lock);
		return err;
	}
	mmu_tlb_fill(&own->tlb, &found);
	set_access(mmu, va, &found, access);
	return 0;
}

int threads_mmu_access_begin(struct mach_mmu *mmu, uint64_t va, enum mach_access_kind kind,
			     struct mach_access *access)
{
	struct cpu_mmu *own = own_mmu(mmu);
	struct mmu_translation *found;

	mach_spin_lock(&own->lock);
	found = mmu_tlb_find(&own->tlb, va);
	if (threads_unlikely(!found) || threads_unlikely(!mmu_allows(found, kind)))
		return access_slow(mmu, own, va, kind, found, access);
	set_access(mmu, va, found, access);
	return 0;
}

void threads_mmu_access_end(struct mach_mmu *mmu)
{
	mach_spin_unlock(&own_mmu(mmu)->lock);
}

void threads_mmu_flush(struct mach_mmu *mmu, struct mach_cpuset cpus, uint32_t asid,
		       uint64_t start, uint64_t end)
{
	unsigned self = mach_cpu();

	COUNT(tlb_flushes, 1);
	for (uint64_t left = cpus.bits; left; left &= left - 1) {
		unsigned cpu = (unsigned)__builtin_ctzll(left);
		struct cpu_mmu *target = &mmu->cpus[cpu];

		if (cpu >= mmu->nr_cpus)
			break;
		if (cpu != self)
			COUNT(tlb_interrupts, 1);
		mach_spin_lock(&target->lock);
		if (start == 0 && end == UINT64_MAX)
			mmu_tlb_flush_asid(&target->tlb, asid);
		else
			mmu_tlb_flush(&target->tlb, asid, start, end);
		mach_spin_unlock(&target->lock);
	}
}
