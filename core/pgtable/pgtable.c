/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tree of tables: making, walking and freeing it.
 *
 * Guarantees.  A table is linked only when it is whole (its parent's slot is
 * stored with RELEASE and read with ACQUIRE), and is unlinked before it is
 * handed on to be freed, so a walker sees it complete or not at all.  Tables
 * that a failed pgtable_ensure() left are empty, lie inside the range of a
 * VMA, and go when that range goes.
 *
 * Every table touches the range of at least one VMA.  That is why a range can
 * be freed by looking at its own tables alone, given what lies below and above
 * it (floor and ceiling): nothing else can be left in between.
 */
#include "pgtable/pgtable.h"

#include "base/memory.h"

/* Upper entries allow everything; the leaf decides.  Accessed is set so that
 * no walker has a reason to write to them. */
#define TABLE_BITS                                                    \
	(QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE | QUIRE_ENTRY_USER | \
	 QUIRE_ENTRY_ACCESSED)

#define ROOT_LEVEL (QUIRE_LEVELS - 1u)

_Static_assert(QUIRE_LEVELS >= 2, "a root and a table of pages");
_Static_assert(sizeof(entry_t) * QUIRE_TABLE_ENTRIES <= QUIRE_PAGE_SIZE,
	       "a table fills one frame");

static u64 level_size(unsigned level)
{
	return UINT64_C(1) << QUIRE_LEVEL_SHIFT(level);
}

/* The first address above `addr` that another entry of this level maps. */
static u64 next_boundary(u64 addr, unsigned level)
{
	return align_down(addr, level_size(level)) + level_size(level);
}

/* ---- tables --------------------------------------------------------------- */

static struct table *table_alloc(struct pgtable *pt, u64 addr, unsigned level,
				 unsigned alloc_flags)
{
	struct folio *folio = folio_alloc(pt->phys, 0, alloc_flags);
	struct table *table = (struct table *)(void *)folio;

	if (folio == NULL)
		return NULL;
	atomic_store(&folio->flags, (u32)FRAME_TABLE);
	table->level = (u8)level;
	table->va = align_down(addr, level_size(level + 1));
	spin_init(&table->lock, level == 0 ? LOCK_RANK_pte : LOCK_RANK_pmd);
	COST_ADD(tables_allocated, 1);
	return table;
}

/* Counts one in table_bytes. */
static void count_table(struct pgtable *pt)
{
	u64 bytes = atomic_fetch_add(&pt->table_bytes, PAGE_SIZE) + PAGE_SIZE;
	u64 peak = atomic_load(&pt->table_bytes_peak);

	while (bytes > peak && !atomic_cas(&pt->table_bytes_peak, &peak, bytes))
		;
}

static void table_release(struct pgtable *pt, struct table *table)
{
	struct folio *folio = (struct folio *)(void *)table;

	table->level = 0;
	table->va = 0;
	check(table->deposited == NULL);
	mutex_init(&folio->lock, LOCK_RANK_folio);
	atomic_store(&folio->flags, 0u);
	COST_ADD(tables_freed, 1);
	folio_put(pt->phys, folio);
}

void table_free(struct pgtable *pt, struct table *table)
{
	atomic_fetch_sub(&pt->table_bytes, PAGE_SIZE);
	table_release(pt, table);
}

int pgtable_init(struct pgtable *pt, struct phys *phys, struct mach_mmu *mmu, u32 asid)
{
	*pt = (struct pgtable){ .phys = phys, .mmu = mmu, .asid = asid };
	spin_init(&pt->lock, LOCK_RANK_page_table);
	pt->root = table_alloc(pt, 0, ROOT_LEVEL, ALLOC_ZERO);
	return pt->root == NULL ? -QUIRE_ENOMEM : 0;
}

u64 pgtable_fini(struct pgtable *pt)
{
	u64 leaked_bytes = atomic_load(&pt->table_bytes);

	table_release(pt, pt->root);
	pt->root = NULL;
	return leaked_bytes;
}

/* ---- walking down ----------------------------------------------------------- */

entry_t *pgtable_find(const struct pgtable *pt, u64 addr, unsigned level,
		      struct table **ret_table)
{
	struct table *table = pt->root;

	for (unsigned l = ROOT_LEVEL; l > level; l--) {
		entry_t e = entry_load(table_slots(pt, table) + pgtable_index(addr, l));

		if (entry_is_none(e) || entry_is_leaf(e))
			return NULL;
		table = entry_table(pt, e);
	}
	*ret_table = table;
	return table_slots(pt, table) + pgtable_index(addr, level);
}

/* The lock that guards the entries of a table above level 0. */
static struct spinlock *upper_lock(struct pgtable *pt, struct table *table)
{
	return table->level == 1 ? &table->lock : &pt->lock;
}

static entry_t table_entry(const struct pgtable *pt, const struct table *table)
{
	return entry_make(frame_pfn(pt->phys, (const struct frame *)(const void *)table),
			  TABLE_BITS);
}

/* Links a new table below `parent` at `slot`, or finds that somebody else just
 * put something there. */
static NOINLINE int link_table(struct pgtable *pt, struct table *parent, entry_t *slot,
			       u64 addr)
{
	struct table *table = table_alloc(pt, addr, parent->level - 1u, ALLOC_ZERO);
	struct spinlock *lock = upper_lock(pt, parent);

	if (table == NULL)
		return -QUIRE_ENOMEM;
	spin_lock(lock);
	if (entry_is_none(entry_load(slot))) {
		count_table(pt);
		entry_store(slot, table_entry(pt, table));
		table = NULL;
	}
	spin_unlock(lock);
	if (table != NULL)
		table_release(pt, table);
	return 0;
}

int pgtable_ensure(struct pgtable *pt, u64 addr, unsigned level, entry_t **ret_slot,
		   struct table **ret_table)
{
	struct table *table = pt->root;

	for (unsigned l = ROOT_LEVEL; l > level; l--) {
		entry_t *slot = table_slots(pt, table) + pgtable_index(addr, l);
		entry_t e = entry_load(slot);

		/* Again, if a leaf that was in the way went at once. */
		while (unlikely(entry_is_none(e))) {
			int err = link_table(pt, table, slot, addr);

			if (err)
				return err;
			e = entry_load(slot);
		}
		if (unlikely(entry_is_leaf(e)))
			return -QUIRE_EEXIST;
		table = entry_table(pt, e);
	}
	*ret_table = table;
	*ret_slot = table_slots(pt, table) + pgtable_index(addr, level);
	return 0;
}

/*
 * Steps over the empty entries of `table` from *addr; false when none is left
 * before `end` in this table, *addr then being where to look next.
 */
ALWAYS_INLINE bool skip_empty(const struct pgtable *pt, const struct table *table,
		       unsigned level, u64 *addr, u64 end, entry_t *ret_entry)
{
	const entry_t *slots = table_slots(pt, table);
	unsigned i = pgtable_index(*addr, level);
	u64 at = *addr;

	for (; i < QUIRE_TABLE_ENTRIES && at < end; i++, at = next_boundary(at, level)) {
		*ret_entry = entry_load(&slots[i]);
		if (!entry_is_none(*ret_entry)) {
			*addr = at;
			return true;
		}
	}
	*addr = at;
	return false;
}

bool pgtable_walk_span(const struct pgtable *pt, u64 addr, u64 end, struct span *span)
{
	struct table *table = pt->root;
	unsigned level = ROOT_LEVEL;
	u64 from = addr;

	while (addr < end) {
		entry_t e;

		if (!skip_empty(pt, table, level, &addr, end, &e)) {
			table = pt->root;
			level = ROOT_LEVEL;
			continue;
		}
		if (unlikely(entry_is_leaf(e))) {
			u64 leaf_end = next_boundary(addr, level);

			*span = (struct span){
				.addr = addr, .end = u64_min(end, leaf_end),
				.slots = table_slots(pt, table) + pgtable_index(addr, level),
				.table = table, .level = level,
			};
			return true;
		}
		table = entry_table(pt, e);
		if (--level > 0)
			continue;
		*span = (struct span){
			.addr = addr, .end = u64_min(end, next_boundary(addr, 1)),
			.slots = table_slots(pt, table) + pgtable_index(addr, 0),
			.table = table, .level = 0,
		};
		return true;
	}
	/* Up to the next entry of the level where nothing was: beyond `end`. */
	span->none_from = from;
	span->none_until = addr;
	return false;
}

/* ---- freeing ------------------------------------------------------------------ */

struct free_range {
	u64 floor, last; /* tables wholly inside [floor, last] go */
	struct list *tables;
};

static void check_empty(const struct pgtable *pt, const struct table *table)
{
	check(table->deposited == NULL);
#ifdef QUIRE_DEBUG
	for (unsigned i = 0; i < QUIRE_TABLE_ENTRIES; i++)
		check(entry_is_none(entry_load(table_slots(pt, table) + i)));
#else
	(void)pt;
	(void)table;
#endif
}

/* Frees below `table` what [addr, end) touches; the table itself stays. */
static void free_below(struct pgtable *pt, struct table *table, unsigned level, u64 addr,
		       u64 end, const struct free_range *range)
{
	entry_t *slots = table_slots(pt, table);
	u64 size = level_size(level);

	for (u64 next; addr < end; addr = next) {
		entry_t *slot = &slots[pgtable_index(addr, level)];
		entry_t e = entry_load(slot);
		u64 first = align_down(addr, size);
		struct spinlock *lock;
		struct table *child;

		next = first + size;
		if (entry_is_none(e) || entry_is_leaf(e))
			continue;
		child = entry_table(pt, e);
		if (level > 1)
			free_below(pt, child, level - 1, addr, u64_min(next, end), range);
		if (first < range->floor || next - 1 > range->last)
			continue;
		check_empty(pt, child);
		lock = upper_lock(pt, table);
		spin_lock(lock);
		entry_store(slot, entry_none());
		spin_unlock(lock);
		list_append(range->tables, &child->link);
	}
}

void pgtable_unlink_range(struct pgtable *pt, u64 addr, u64 end, u64 floor, u64 ceiling,
			  struct list *tables)
{
	struct free_range range = {
		.floor = floor, .last = ceiling - 1, .tables = tables,
	};

	free_below(pt, pt->root, ROOT_LEVEL, addr, end, &range);
}

/* ---- leaves ------------------------------------------------------------------- */

struct table *pgtable_alloc_deposit(struct pgtable *pt)
{
	struct table *table = table_alloc(pt, 0, 0, 0);

	if (table != NULL)
		count_table(pt);
	return table;
}

u32 pgtable_nr_deposited(const struct table *pmd_table)
{
	u32 nr = 0;

	for (const struct table *t = pmd_table->deposited; t != NULL; t = t->deposited)
		nr++;
	return nr;
}

struct table *pgtable_next_pmd_table(const struct pgtable *pt, u64 *addr)
{
	struct table *table = pt->root;
	u64 end = UINT64_C(1) << QUIRE_VA_BITS;
	entry_t e;

	while (table->level > 1) {
		if (*addr >= end)
			return NULL;
		if (skip_empty(pt, table, table->level, addr, end, &e))
			table = entry_table(pt, e);
		else
			table = pt->root;
	}
	*addr = next_boundary(*addr, 2);
	return table;
}

/* One entry per page, saying what the leaf says. */
static void fill_from_leaf(entry_t *slots, entry_t leaf, pfn_t first, u32 step)
{
	entry_t e = entry_make(first, leaf.v & ~(QUIRE_ENTRY_PFN_MASK | QUIRE_ENTRY_LEAF));

	for (u32 i = 0; i < QUIRE_TABLE_ENTRIES; i++) {
		entry_store(&slots[i], e);
		e.v += (u64)step << QUIRE_ENTRY_PFN_SHIFT;
	}
}

struct table *pgtable_split_leaf(struct pgtable *pt, struct table *pmd_table, entry_t *slot,
				 pfn_t first, u32 step)
{
	u64 index = (u64)(slot - table_slots(pt, pmd_table));
	struct table *table = pgtable_withdraw(pmd_table);
	entry_t leaf = entry_load(slot);

	table->va = pmd_table->va + index * PMD_SIZE;
	/* Until it is linked nobody sees the table.  A walker that sets a bit of
	 * the leaf after we read it makes the exchange fail: once or twice. */
	do {
		check(entry_is_leaf(leaf));
		fill_from_leaf(table_slots(pt, table), leaf, first, step);
	} while (!entry_cas(slot, &leaf, table_entry(pt, table)));
	return table;
}
