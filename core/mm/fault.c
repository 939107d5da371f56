/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults: filling in a missing entry.
 *
 * Guarantees.  On success the access can be tried again (it may fault again
 * when somebody else was at work, or when the page was truncated meanwhile).
 * On failure nothing changed but tables that may have been added, which are
 * empty.  The mmap lock, in any mode, keeps the VMA and its tables; the entry
 * itself is decided under the table lock, after everything that may fail.
 *
 * A file's page is mapped under its folio lock, so that truncation, which
 * removes it from the file under the same lock, finds every entry: either the
 * fault saw the folio gone, or truncation's second look sees the entry.
 *
 * Fault-around: a read fault also maps the neighbours that are in the cache,
 * in a window of fault_around_bytes, as far as VMA, table and file reach; any
 * fault does so with those of the same large folio.  Their accessed bits stay
 * clear, and they are not writable where a file has to be told: nobody touched
 * them.
 */
#include "mm/pages.h"
#include "rmap/split.h"

/* ---- files ---------------------------------------------------------------------- */

/* What an entry made by this fault says of the access. */
static u64 access_bits(const struct fault *fault)
{
	return fault->write ? QUIRE_ENTRY_ACCESSED | QUIRE_ENTRY_WRITE | QUIRE_ENTRY_DIRTY :
			      QUIRE_ENTRY_ACCESSED;
}

/* Pages that the file has now, the last perhaps in part. */
static u64 mapping_nr_pages(const struct mapping *mapping)
{
	return page_align_up(atomic_load(&mapping->size_bytes)) >> PAGE_SHIFT;
}

struct around {
	struct fault *fault;
	u64 first_index;      /* of the window */
	u64 last_index;
	u64 fault_index;
	entry_t *slots;       /* slots[0] maps first_index */
	s64 nr_mapped;
};

static u32 empty_run(const entry_t *slots, u32 max)
{
	u32 nr = 0;

	while (nr < max && entry_is_none(entry_load(&slots[nr])))
		nr++;
	return nr;
}

/* Pages of one folio from `index` on into as many empty slots: references and
 * mapcount at one stroke each.  False: its count is full. */
static bool map_around_run(struct around *around, struct folio *folio, u64 index, u32 nr)
{
	struct vma *vma = around->fault->vma;
	struct phys *phys = &around->fault->mm->q->phys;
	entry_t *slots = &around->slots[index - around->first_index];
	struct frame *frame = folio_frame(folio, index - folio->index);
	entry_t e = entry_make(frame_pfn(phys, frame), vma->entry_bits);

	if (rmap_add_get(frame, nr, vma))
		return false;
	for (u32 i = 0; i < nr; i++) {
		entry_t page = entry_plus_pages(e, i);

		if (index + i == around->fault_index)
			page.v |= access_bits(around->fault);
		entry_store(&slots[i], page);
	}
	around->nr_mapped += nr;
	return true;
}

/* Maps what of `folio` lies in the window.  Folio lock and table lock held. */
static void map_around_folio(struct around *around, struct folio *folio, u64 index)
{
	u64 size_pages = mapping_nr_pages(around->fault->vma->mapping);
	u64 end = u64_min(u64_min(folio->index + folio_nr_pages(folio), size_pages),
			  around->last_index + 1);

	while (index < end) {
		u32 nr = empty_run(&around->slots[index - around->first_index],
				   (u32)(end - index));

		if (nr != 0 && !map_around_run(around, folio, index, nr))
			return;
		index += nr + 1; /* what ended the run is mapped, or beyond the end */
	}
}

static bool around_visit(struct folio *folio, u64 index, void *arg)
{
	struct around *around = arg;
	struct phys *phys = &around->fault->mm->q->phys;

	if (!refcount_get_unless_zero(&folio->refs))
		return true;
	/* Somebody works on it: it is not worth waiting for. */
	if (folio_trylock(folio)) {
		if (folio_is_at(folio, around->fault->vma->mapping, index))
			map_around_folio(around, folio, index);
		folio_unlock(folio);
	}
	folio_put(phys, folio);
	return true;
}

/*
 * The window: from the aligned place below the fault, or where VMA or table
 * begin above it, as many pages as it has, no further than VMA and table go.
 */
static struct around around_window(struct fault *fault, u64 window_bytes)
{
	const struct vma *vma = fault->vma;
	u64 table_start = align_down(fault->addr, PMD_SIZE);
	u64 start = u64_max(align_down(fault->addr, window_bytes),
			    u64_max(vma->start, table_start));
	u64 end = u64_min(start + window_bytes, u64_min(vma->end, table_start + PMD_SIZE));
	struct around around = {
		.fault = fault,
		.first_index = vma_index(vma, start),
		.last_index = vma_index(vma, end - 1),
		.fault_index = vma_index(vma, fault->addr),
	};

	around.slots = fault->slot - (around.fault_index - around.first_index);
	return around;
}

/* True when the page that faulted is mapped now. */
static bool fault_around(struct fault *fault)
{
	u64 window_bytes = fault->mm->q->config.fault_around_bytes;
	struct mapping *mapping = fault->vma->mapping;
	struct around around;
	bool mapped;

	if (window_bytes <= PAGE_SIZE || fault->vma->file->mode & QUIRE_FILE_NO_AROUND)
		return false;
	around = around_window(fault, window_bytes);
	table_lock(fault->table);
	mapping_for_each_cached(mapping, around.first_index, around.last_index, around_visit,
				&around);
	mapped = !entry_is_none(entry_load(fault->slot));
	table_unlock(fault->table);
	if (around.nr_mapped != 0)
		mm_rss_add(fault->mm, mapping_rss_kind(mapping), around.nr_mapped);
	return mapped;
}

/* The folio at the fault's place with a reference, read in if it has to be. */
static int get_folio(struct fault *fault, u64 index, struct folio **ret_folio)
{
	struct mapping *mapping = fault->vma->mapping;
	struct folio *folio = mapping_find_folio(mapping, index);

	if (folio != NULL && folio_test(folio, FRAME_UPTODATE)) {
		*ret_folio = folio;
		return 0;
	}
	if (folio != NULL)
		folio_put(&fault->mm->q->phys, folio);
	fault->major = mapping->kind == QUIRE_FILE_HOST;
	return mapping_get_folio_of(mapping, index, fault_file_orders(fault), ret_folio);
}

/* The same, locked and still in its file; *ret_folio NULL: it was truncated
 * meanwhile, try the access again. */
static int get_locked_folio(struct fault *fault, struct folio **ret_folio)
	NO_LOCK_ANALYSIS /* locked only when there is one */
{
	struct mapping *mapping = fault->vma->mapping;
	u64 index = vma_index(fault->vma, fault->addr);
	struct folio *folio;
	int err = get_folio(fault, index, &folio);

	if (err)
		return err;
	folio_lock(folio);
	*ret_folio = folio;
	/* The size is lowered before the cache is emptied: what was read in since
	 * is zeros and no page of the file. */
	if (unlikely(index >= mapping_nr_pages(mapping)))
		err = -QUIRE_ERANGE;
	else if (likely(folio->mapping == mapping))
		return 0;
	folio_unlock(folio);
	folio_put(&fault->mm->q->phys, folio);
	*ret_folio = NULL;
	return err;
}

/* Folio lock held.  False, with nothing changed: the folio is no leaf's, or
 * something is mapped there now. */
static bool map_file_leaf(struct fault *fault, struct folio *folio)
{
	struct vma *vma = fault->vma;
	struct phys *phys = &fault->mm->q->phys;
	bool mapped;

	if (folio_order(folio) != QUIRE_PMD_ORDER ||
	    folio->index + PMD_PAGES > mapping_nr_pages(vma->mapping))
		return false;
	mm_note_leaf(fault->mm);
	table_lock(fault->table);
	mapped = entry_is_none(entry_load(fault->slot)) && !rmap_add_leaf_get(folio, vma);
	if (mapped)
		entry_store(fault->slot,
			    entry_make(folio_pfn(phys, folio), vma->entry_bits |
					       QUIRE_ENTRY_LEAF | access_bits(fault)));
	table_unlock(fault->table);
	return mapped;
}

bool fault_file_leaf(struct fault *fault)
	NO_LOCK_ANALYSIS /* get_locked_folio */
{
	struct mapping *mapping = fault->vma->mapping;
	struct folio *folio;
	bool mapped;

	if (fault->write && !vma_is_shared(fault->vma))
		return false;
	/* An error is the page's, and found again there. */
	if (get_locked_folio(fault, &folio))
		return false;
	if (folio == NULL)
		return true;
	if (fault->write)
		mapping_dirty_folio(mapping, folio);
	mapped = map_file_leaf(fault, folio);
	folio_unlock(folio);
	if (mapped)
		mm_rss_add(fault->mm, mapping_rss_kind(mapping), PMD_PAGES);
	folio_put(&fault->mm->q->phys, folio);
	return mapped;
}

/* The page of a small folio; takes over the reference.  Folio lock and table lock
 * held, slot empty.  0 or an error. */
static int map_small(struct fault *fault, struct folio *folio, s64 *ret_nr)
{
	struct vma *vma = fault->vma;
	int err = rmap_add_file(&folio->frame, vma);

	if (err)
		return err;
	entry_store(fault->slot, entry_make(folio_pfn(&fault->mm->q->phys, folio),
					    vma->entry_bits | access_bits(fault)));
	*ret_nr = 1;
	return 0;
}

/* The page that faulted, and what else of its large folio lies in the window; takes
 * references of their own.  As map_small. */
static int map_large(struct fault *fault, struct folio *folio, s64 *ret_nr)
{
	struct around around = around_window(fault, fault->mm->q->config.fault_around_bytes);

	map_around_folio(&around, folio, u64_max(folio->index, around.first_index));
	*ret_nr = around.nr_mapped;
	return entry_is_none(entry_load(fault->slot)) ? -QUIRE_EOVERFLOW : 0;
}

/* A read of any mapping, or a write to a shared one. */
static int fault_file_shared(struct fault *fault)
	NO_LOCK_ANALYSIS /* get_locked_folio */
{
	struct vma *vma = fault->vma;
	struct folio *folio;
	s64 nr_mapped = 0;
	bool large;
	int err;

	if (!fault->write && fault_around(fault))
		return 0;
	err = get_locked_folio(fault, &folio);
	if (err || folio == NULL)
		return err;
	if (fault->write)
		mapping_dirty_folio(vma->mapping, folio);
	large = folio_is_large(folio);
	table_lock(fault->table);
	if (entry_is_none(entry_load(fault->slot)))
		err = large ? map_large(fault, folio, &nr_mapped) :
			      map_small(fault, folio, &nr_mapped);
	table_unlock(fault->table);
	folio_unlock(folio);
	if (nr_mapped != 0)
		mm_rss_add(fault->mm, mapping_rss_kind(vma->mapping), nr_mapped);
	if (large || nr_mapped == 0)
		folio_put(&fault->mm->q->phys, folio);
	return err;
}

/* A write to a private mapping of a page not mapped yet: its copy at once. */
static int fault_file_private(struct fault *fault)
	NO_LOCK_ANALYSIS /* get_locked_folio */
{
	struct quire *q = fault->mm->q;
	struct vma *vma = fault->vma;
	struct folio *folio, *copy;
	bool mapped = false;
	int err;

	if (fault_prepare_anon(fault))
		return -QUIRE_ENOMEM;
	copy = anon_folio_alloc(q, 0);
	if (copy == NULL)
		return -QUIRE_ENOMEM;
	err = get_locked_folio(fault, &folio);
	if (err || folio == NULL)
		goto out;
	mem_copy(folio_bytes(&q->phys, copy),
		 frame_bytes(&q->phys, folio_frame(folio, vma_index(vma, fault->addr) -
							  folio->index)),
		 PAGE_SIZE);
	COST_ADD(bytes_copied, PAGE_SIZE);
	table_lock(fault->table);
	if (entry_is_none(entry_load(fault->slot))) {
		rmap_add_new_anon(copy, vma, fault->addr);
		entry_store(fault->slot, anon_entry(vma, q, copy));
		mapped = true;
	}
	table_unlock(fault->table);
	folio_unlock(folio);
	folio_put(&q->phys, folio);
	if (mapped) {
		mm_rss_add(fault->mm, RSS_ANON, 1);
		atomic_fetch_add(&fault->mm->cow_copies, 1);
		COST_ADD(cow_copies, 1);
		return 0;
	}
out:
	folio_put(&q->phys, copy);
	return err;
}

/* ---- the way in --------------------------------------------------------------------- */

static bool access_allowed(const struct vma *vma, enum mach_access_kind kind)
{
	switch (kind) {
	case MACH_WRITE:
		return (vma->flags & VMA_WRITE) != 0;
	case MACH_EXEC:
		return (vma->flags & VMA_EXEC) != 0;
	default:
		/* The hardware has no right of its own to forbid reading. */
		return (vma->flags & VMA_ACCESS) != 0;
	}
}

/* Nothing of the file lies where the fault may map something: a read maps what is
 * around it. */
static bool is_beyond_end(const struct fault *fault)
{
	const struct vma *vma = fault->vma;
	u64 window = fault->write ? PAGE_SIZE : fault->mm->q->config.fault_around_bytes;
	u64 start = u64_max(align_down(fault->addr, window), vma->start);

	return !vma_is_anonymous(vma) &&
	       vma_index(vma, start) >= mapping_nr_pages(vma->mapping);
}

/*
 * No table of pages is there: a leaf, or room for one, or a table is made, which
 * stays: so not for an access beyond the end of a file (a read may find something
 * to map around it).  *ret_done: it was a leaf's fault, and has been dealt with.
 */
static NOINLINE int handle_without_table(struct fault *fault, bool *ret_done)
{
	int err;

	if (unlikely(is_beyond_end(fault)))
		return fault->write && !vma_is_shared(fault->vma) && fault_prepare_anon(fault) ?
			       -QUIRE_ENOMEM : -QUIRE_ERANGE;
	do {
		*ret_done = fault_huge(fault);
		if (*ret_done)
			return 0;
		err = pgtable_ensure(&fault->mm->pt, fault->addr, 0, &fault->slot,
				     &fault->table);
	} while (err == -QUIRE_EEXIST);
	return err;
}

static int handle(struct fault *fault)
{
	fault->slot = pgtable_find(&fault->mm->pt, fault->addr, 0, &fault->table);
	if (unlikely(fault->slot == NULL)) {
		bool done;
		int err = handle_without_table(fault, &done);

		if (err || done)
			return err;
	}
	fault->seen = entry_load(fault->slot);
	if (entry_is_none(fault->seen)) {
		if (vma_is_anonymous(fault->vma))
			return fault_anon(fault);
		if (fault->write && !vma_is_shared(fault->vma))
			return fault_file_private(fault);
		return fault_file_shared(fault);
	}
	if (unlikely(entry_is_migration(fault->seen))) {
		rmap_wait_migration(&fault->mm->q->rmap, fault->seen);
		return 0; /* tried again */
	}
	if (unlikely(entry_is_guard(fault->seen))) {
		fault->guarded = true;
		return -QUIRE_EFAULT;
	}
	if ((fault->write && !entry_is_writable(fault->seen)) || fault->unshare)
		return fault_write_protected(fault);
	/* Somebody else did it first. */
	return 0;
}

/* Folios looked at before the fault is tried again. */
#define SPLIT_AT_ONCE 16u

/*
 * Short of memory, pages of large folios that nobody maps any more are freed, and
 * the fault is made again.  Here and not in the allocator: a split takes locks
 * that are above most places that allocate, and a fault holds the mmap lock alone.
 */
static int handle_short_of_memory(struct fault *fault)
{
	int err = handle(fault);

	while (unlikely(err == -QUIRE_ENOMEM) &&
	       rmap_split_deferred(&fault->mm->q->rmap, SPLIT_AT_ONCE) != 0)
		err = handle(fault);
	return err;
}

static int finish(struct fault *fault, int err, enum quire_signal *ret_signal)
{
	switch (err) {
	case 0:
		COST_ADD(faults, 1);
		atomic_fetch_add(fault->major ? &fault->mm->major_faults : &fault->mm->faults, 1);
		return 0;
	case -QUIRE_ENOMEM:
	case -QUIRE_EOVERFLOW: /* a large folio that is mapped too often */
		*ret_signal = QUIRE_OOM;
		return err;
	default: /* beyond the file's end, or it could not be read; or a guard */
		*ret_signal = fault->guarded ? QUIRE_SIGSEGV_MAPERR : QUIRE_SIGBUS;
		return -QUIRE_EFAULT;
	}
}

int mm_handle_fault(struct mm *mm, struct vma *vma, u64 addr, enum mach_access_kind kind,
		    enum quire_signal *ret_signal)
{
	struct fault fault = {
		.mm = mm, .vma = vma, .addr = addr & PAGE_MASK, .write = kind == MACH_WRITE,
	};

	if (unlikely(!access_allowed(vma, kind))) {
		*ret_signal = QUIRE_SIGSEGV_ACCERR;
		return -QUIRE_EFAULT;
	}
	return finish(&fault, handle_short_of_memory(&fault), ret_signal);
}

int mm_unshare_page(struct mm *mm, struct vma *vma, u64 addr, enum quire_signal *ret_signal)
{
	struct fault fault = {
		.mm = mm, .vma = vma, .addr = addr & PAGE_MASK, .unshare = true,
	};

	return finish(&fault, handle_short_of_memory(&fault), ret_signal);
}
