/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index of a file's folios.
 *
 * Guarantees.  A lookup takes no lock: it reads the index under RCU, takes a
 * reference unless there is none any more, and then looks whether the folio is
 * still where it was found.  Removal needs no memory.
 *
 * Design.  A maple tree of ranges, one entry a folio of whatever order.  A
 * frame may be freed and used for something else between a reader's look at
 * the index and its reference: then folio->mapping is no longer this mapping,
 * because it is one exactly while the folio is in its index (invariant 1 of
 * file.h), and the reader gives the reference back.  Such a stray reference
 * may be the last one; every frame that has references is freed by its last
 * put, so that is harmless.
 *
 * To take an entry out of a tree can need nodes.  So removal first overwrites
 * entries in place by CACHE_GONE, which a lookup takes for a hole, and then makes
 * the range a hole if there is memory for that; else the marks stay until
 * somebody stores over them, and the tree is the larger for it, nothing else.
 *
 * A split (split.c) changes what the index says of a range, and what it finds
 * there has no reference for a moment.  So a reader that could not get hold of
 * what it found asks again under the index lock, where neither can happen: a
 * page that is in the cache is never taken for a hole.
 */
#include "file/cache.h"

#include "base/bits.h"
#include "sync/rcu.h"

const u64 cache_gone_mark;

/* ---- lookups ----------------------------------------------------------------- */

/* A reference to what was found at `index`; false when it is not there any
 * more. */
static bool hold_found(struct mapping *mapping, struct folio *folio, u64 index)
{
	if (!refcount_get_unless_zero(&folio->refs))
		return false;
	if (likely(folio_is_at(folio, mapping, index)))
		return true;
	folio_put(mapping->files->phys, folio);
	return false;
}

/* The answer that cannot be wrong. */
static NOINLINE struct folio *find_folio_locked(struct mapping *mapping, u64 index)
{
	struct folio *folio;

	spin_lock(&mapping->index_lock);
	folio = maple_load(&mapping->folios, index);
	if (folio == CACHE_GONE)
		folio = NULL;
	if (folio)
		folio_get(folio);
	spin_unlock(&mapping->index_lock);
	return folio;
}

struct folio *mapping_find_folio(struct mapping *mapping, u64 index)
{
	struct folio *folio;
	bool moved;

	rcu_read_lock();
	folio = maple_load(&mapping->folios, index);
	if (folio == CACHE_GONE)
		folio = NULL;
	moved = folio && !hold_found(mapping, folio, index);
	rcu_read_unlock();
	return unlikely(moved) ? find_folio_locked(mapping, index) : folio;
}

void mapping_for_each_cached(struct mapping *mapping, u64 first, u64 last,
			     bool (*visit)(struct folio *folio, u64 index, void *arg),
			     void *arg)
{
	u64 size_pages = mapping_size_pages(mapping);
	struct maple_cursor cur = maple_cursor(&mapping->folios, first, first);
	struct folio *folio;

	if (size_pages == 0)
		return;
	last = u64_min(last, size_pages - 1);
	rcu_read_lock();
	maple_for_each(&cur, folio, last) {
		if (folio == CACHE_GONE || !folio_is_uptodate(folio))
			continue;
		if (!visit(folio, u64_max(first, cur.first), arg))
			break;
	}
	rcu_read_unlock();
}

/* Entries looked at in one hold of the index lock. */
#define SCAN_MAX 256

/*
 * Part of cache_find_batch: adds to the batch; true when more entries may
 * follow.  Under the index lock, so that nothing is overlooked that moves.
 */
static bool scan_batch(struct mapping *mapping, u64 *index, u64 last, u32 flags,
		       struct folio **ret_folios, u32 *nr)
{
	struct maple_cursor cur = maple_cursor(&mapping->folios, *index, *index);
	struct folio *folio;
	u32 nr_seen = 0;

	maple_for_each(&cur, folio, last) {
		if (*nr == CACHE_BATCH || nr_seen++ == SCAN_MAX)
			return true;
		*index = cur.last + 1;
		if (folio == CACHE_GONE || (atomic_load(&folio->flags) & flags) != flags)
			continue;
		if (*nr && ret_folios[*nr - 1] == folio)
			continue; /* another range of the same: see split.c */
		folio_get(folio);
		ret_folios[(*nr)++] = folio;
	}
	return false;
}

u32 cache_find_batch(struct mapping *mapping, u64 *index, u64 last, u32 flags,
		     struct folio **ret_folios)
{
	bool more = *index <= last;
	u32 nr = 0;

	while (more && nr == 0) {
		spin_lock(&mapping->index_lock);
		more = scan_batch(mapping, index, last, flags, ret_folios, &nr);
		spin_unlock(&mapping->index_lock);
	}
	return nr;
}

/* ---- insertion ------------------------------------------------------------------ */

/* Pages that the file has, or is about to. */
static u64 pages_of(const struct mapping *mapping, u64 reach)
{
	return u64_max(mapping_size_pages(mapping), reach);
}

/* May a folio of these pages be inserted?  A large one has to lie inside the
 * file, so that truncation cuts it once.  Index lock held. */
static bool range_fits(struct mapping *mapping, u64 first, u64 last, u64 reach)
{
	struct maple_cursor cur = maple_cursor(&mapping->folios, first, first);
	void *there;

	if (first == last) {
		there = maple_load(&mapping->folios, first);
		return !there || there == CACHE_GONE;
	}
	maple_for_each(&cur, there, last) {
		if (there != CACHE_GONE)
			return false;
	}
	return last < pages_of(mapping, reach);
}

/* The largest of `orders` that page `index` can have. */
static unsigned choose_order(struct mapping *mapping, u64 index, u64 reach, u32 orders)
{
	unsigned chosen = 0;

	if (likely(orders == 0))
		return 0;
	spin_lock(&mapping->index_lock);
	for (unsigned order = FILE_MIN_LARGE_ORDER; orders >> order != 0; order++) {
		u64 first = align_down(index, BIT(order));

		if (!range_fits(mapping, first, first + BIT(order) - 1, reach))
			break;
		if (orders & BIT(order))
			chosen = order;
	}
	spin_unlock(&mapping->index_lock);
	return chosen;
}

/* NULL: no memory, or an order that the reverse map cannot count. */
static struct folio *alloc_order(struct files *files, unsigned order, unsigned flags)
{
	struct folio *folio;
	int err;

	/* Before a large one is cleared for nothing. */
	if (!rmap_has_order(files->rmap, order))
		return NULL;
	folio = folio_alloc(files->phys, order, flags);
	if (!folio)
		return NULL;
	err = rmap_folio_init(files->rmap, folio);
	check(!err);
	(void)err;
	return folio;
}

/* A folio for page `index`, as large as fits and as there is memory for. */
static struct folio *alloc_folio(struct mapping *mapping, u64 index, u64 reach, u32 orders)
{
	unsigned order = choose_order(mapping, index, reach, orders);
	bool memory = mapping->kind == QUIRE_FILE_MEMORY;
	struct folio *folio;

	for (;;) {
		folio = alloc_order(mapping->files, order, memory ? ALLOC_ZERO : 0);
		if (folio || order == 0)
			break;
		orders &= (u32)BIT(order) - 1;
		order = orders != 0 ? bit_highest(orders) : 0;
	}
	if (folio && memory)
		atomic_store(&folio->flags, (u32)(FRAME_UPTODATE | FRAME_SWAPBACKED));
	return folio;
}

/* 0; -EAGAIN when it does not fit (any more); -ERANGE; -ENOMEM. */
static int index_insert(struct mapping *mapping, struct folio *folio, u64 index, u64 reach)
{
	u64 nr_pages = folio_nr_pages(folio);
	u64 first = align_down(index, nr_pages), last = first + nr_pages - 1;
	struct maple_cursor cur = maple_cursor(&mapping->folios, first, last);
	int err;

	spin_lock(&mapping->index_lock);
	if (index >= pages_of(mapping, reach))
		err = -QUIRE_ERANGE;
	else if (!range_fits(mapping, first, last, reach))
		err = -QUIRE_EAGAIN;
	else
		err = maple_store(&cur, folio);
	if (err)
		goto out;
	atomic_store(&folio->index, first);
	atomic_store(&mapping->nr_pages, mapping->nr_pages + nr_pages);
	/* RELEASE pairs with folio_is_at. */
	atomic_store_release(&folio->mapping, (void *)mapping);
out:
	spin_unlock(&mapping->index_lock);
	return err;
}

/* A folio for page `index`, with a reference, if there is none.  Of a
 * memory-backed file it is uptodate.  Errors as index_insert. */
static int create_folio(struct mapping *mapping, u64 index, u64 reach, u32 orders,
			struct folio **ret_folio)
{
	struct folio *folio = alloc_folio(mapping, index, reach, orders);
	int err;

	if (!folio)
		return -QUIRE_ENOMEM;
	folio_get(folio); /* the index's */
	err = index_insert(mapping, folio, index, reach);
	if (err) {
		folio_put_n(mapping->files->phys, folio, 2);
		return err;
	}
	atomic_fetch_add(&mapping->files->nr_cached, folio_nr_pages(folio));
	*ret_folio = folio;
	return 0;
}

/* ---- reading in ------------------------------------------------------------------- */

/*
 * Folio lock held.  -EAGAIN: it was truncated or split, look again.  An error
 * of the backing strikes single pages: a large folio makes way for small ones,
 * so that each page is told its own.
 */
static int make_uptodate_locked(struct mapping *mapping, struct folio *folio)
{
	int err;

	if (unlikely(folio->mapping != (void *)mapping))
		return -QUIRE_EAGAIN;
	if (folio_is_uptodate(folio))
		return 0;
	err = backing_read_folio(mapping, folio);
	if (!err)
		folio_set_uptodate(folio);
	else if (folio_is_large(folio) && !mapping_split_folio(mapping, folio, 0))
		return -QUIRE_EAGAIN;
	return err;
}

static int make_uptodate(struct mapping *mapping, struct folio *folio)
{
	int err;

	if (likely(folio_is_uptodate(folio)))
		return 0;
	folio_lock(folio);
	err = make_uptodate_locked(mapping, folio);
	folio_unlock(folio);
	return err;
}

/* A backing is asked for this many pages at a time, the aligned window around
 * the one that was missing; or for what a larger folio has. */
#define READ_AROUND_ORDER 4
#define READ_AROUND_PAGES BIT(READ_AROUND_ORDER)

/* Reads in what is missing of the window around `there`, which was; best effort,
 * and no trace of an error: who needs the page tries again.  Pre: a reference. */
static void read_around(struct mapping *mapping, const struct folio *there)
{
	u64 i = align_down(there->index, READ_AROUND_PAGES);
	u64 end = u64_min(i + READ_AROUND_PAGES, mapping_size_pages(mapping));
	u32 orders = files_orders(mapping->files) & ((u32)BIT(READ_AROUND_ORDER + 1) - 1);

	while (i < end) {
		struct folio *folio;
		int err;

		if (i == there->index) {
			i = folio_last_index(there) + 1;
			continue;
		}
		err = create_folio(mapping, i, 0, orders, &folio);
		i++;
		if (err == -QUIRE_EAGAIN)
			continue;
		if (err)
			return;
		i = folio_last_index(folio) + 1;
		err = make_uptodate(mapping, folio);
		folio_put(mapping->files->phys, folio);
		if (err)
			return;
	}
}

/* The folio of page `index`, created if missing.  *ret_created says so. */
static int find_or_create(struct mapping *mapping, u64 index, u64 reach, u32 orders,
			  struct folio **ret_folio, bool *ret_created)
{
	int err;

	for (;;) {
		if (index >= pages_of(mapping, reach))
			return -QUIRE_ERANGE;
		*ret_created = false;
		*ret_folio = mapping_find_folio(mapping, index);
		if (*ret_folio)
			return 0;
		err = create_folio(mapping, index, reach, orders, ret_folio);
		if (err == -QUIRE_EAGAIN)
			continue;
		*ret_created = !err;
		return err;
	}
}

int mapping_get_folio_of(struct mapping *mapping, u64 index, u32 orders,
			 struct folio **ret_folio)
{
	struct folio *folio;
	bool created;
	int err;

	do {
		err = find_or_create(mapping, index, 0, orders, &folio, &created);
		if (err)
			return err;
		err = make_uptodate(mapping, folio);
		if (err)
			folio_put(mapping->files->phys, folio);
	} while (err == -QUIRE_EAGAIN);
	if (err)
		return err;
	if (created && mapping->kind == QUIRE_FILE_HOST)
		read_around(mapping, folio);
	*ret_folio = folio;
	return 0;
}

int mapping_get_folio(struct mapping *mapping, u64 index, struct folio **ret_folio)
{
	return mapping_get_folio_of(mapping, index, files_orders(mapping->files), ret_folio);
}

/* What a plain write may get: there is no VMA that advised anything. */
static u32 write_orders(const struct mapping *mapping)
{
	const struct files *files = mapping->files;
	u32 orders = files_orders(files);

	if (mapping->kind != QUIRE_FILE_MEMORY)
		return orders;
	switch (files_shmem_folios(files, mapping)) {
	case QUIRE_SHMEM_DENY:
		return 0;
	case QUIRE_SHMEM_WITHIN_SIZE:
	case QUIRE_SHMEM_ALWAYS:
	case QUIRE_SHMEM_FORCE:
		return orders | (u32)BIT(QUIRE_PMD_ORDER);
	default:
		return orders;
	}
}

int cache_lock_folio(struct mapping *mapping, u64 index, u64 reach, struct folio **ret_folio)
	NO_LOCK_ANALYSIS /* locked only on success */
{
	u32 orders = reach != 0 ? write_orders(mapping) : files_orders(mapping->files);
	struct folio *folio;
	bool created;
	int err;

	do {
		err = find_or_create(mapping, index, reach, orders, &folio, &created);
		if (err)
			return err;
		folio_lock(folio);
		err = make_uptodate_locked(mapping, folio);
		if (err)
			cache_unlock_folio(mapping, folio);
	} while (err == -QUIRE_EAGAIN);
	if (!err)
		*ret_folio = folio;
	return err;
}

void cache_unlock_folio(struct mapping *mapping, struct folio *folio)
	NO_LOCK_ANALYSIS /* pairs with cache_lock_folio */
{
	folio_unlock(folio);
	folio_put(mapping->files->phys, folio);
}

/* ---- dirty marks -------------------------------------------------------------------- */

void mapping_dirty_folio(struct mapping *mapping, struct folio *folio)
{
	if (folio_test(folio, FRAME_DIRTY))
		return;
	spin_lock(&mapping->index_lock);
	if (folio->mapping == (void *)mapping && !frame_test_and_set(&folio->frame, FRAME_DIRTY))
		atomic_store(&mapping->nr_dirty, mapping->nr_dirty + 1);
	spin_unlock(&mapping->index_lock);
}

static bool clear_dirty_indexed(struct mapping *mapping, struct folio *folio)
{
	if (!frame_test_and_clear(&folio->frame, FRAME_DIRTY))
		return false;
	check(mapping->nr_dirty > 0);
	atomic_store(&mapping->nr_dirty, mapping->nr_dirty - 1);
	return true;
}

bool cache_clear_dirty(struct mapping *mapping, struct folio *folio)
{
	bool was_dirty;

	spin_lock(&mapping->index_lock);
	was_dirty = clear_dirty_indexed(mapping, folio);
	spin_unlock(&mapping->index_lock);
	return was_dirty;
}

/* ---- removal ------------------------------------------------------------------------- */

/*
 * Marks the entries of the folios, ascending, as gone; then makes a hole of
 * where they were, unless another folio lies between.  Index lock held.
 */
static void index_remove(struct mapping *mapping, struct folio **folios, u32 nr)
{
	u64 first = folios[0]->index, last = folio_last_index(folios[nr - 1]);
	struct maple_cursor cur = maple_cursor(&mapping->folios, first, first);
	bool others = false;
	void *entry;
	u32 done = 0;

	maple_for_each(&cur, entry, last) {
		if (done < nr && entry == folios[done]) {
			maple_replace(&cur, CACHE_GONE);
			if (cur.last == folio_last_index(folios[done]))
				done++;
		} else if (entry != CACHE_GONE) {
			others = true;
		}
	}
	check(done == nr);
	maple_set_range(&cur, first, last);
	if (!others && maple_store(&cur, NULL)) {
		/* No memory: the marks stay. */
	}
}

/* Pre: the folios are in the index, locked, with a reference of the caller's;
 * both references are dropped. */
static void remove_batch(struct mapping *mapping, struct folio **folios, u32 nr)
	NO_LOCK_ANALYSIS /* locks of an array */
{
	struct phys *phys = mapping->files->phys;
	u64 nr_pages = 0;

	spin_lock(&mapping->index_lock);
	index_remove(mapping, folios, nr);
	for (u32 i = 0; i < nr; i++) {
		clear_dirty_indexed(mapping, folios[i]);
		atomic_store(&folios[i]->mapping, NULL);
		nr_pages += folio_nr_pages(folios[i]);
	}
	atomic_store(&mapping->nr_pages, mapping->nr_pages - nr_pages);
	spin_unlock(&mapping->index_lock);
	atomic_fetch_sub(&mapping->files->nr_cached, nr_pages);
	for (u32 i = 0; i < nr; i++) {
		folio_unlock(folios[i]);
		folio_put_n(phys, folios[i], 2);
	}
}

/* Keeps those that lie in [first, last] and gives the others back. */
static u32 drop_straddling(struct mapping *mapping, struct folio **folios, u32 nr, u64 first,
			   u64 last)
{
	u32 nr_kept = 0;

	for (u32 i = 0; i < nr; i++) {
		if (folios[i]->index >= first && folio_last_index(folios[i]) <= last)
			folios[nr_kept++] = folios[i];
		else
			folio_put(mapping->files->phys, folios[i]);
	}
	return nr_kept;
}

void cache_remove_range(struct mapping *mapping, u64 first, u64 last)
	NO_LOCK_ANALYSIS /* locks of an array */
{
	struct folio *folios[CACHE_BATCH];
	u64 index = first;
	u32 nr;

	while ((nr = cache_find_batch(mapping, &index, last, 0, folios)) != 0) {
		nr = drop_straddling(mapping, folios, nr, first, last);
		if (nr == 0)
			continue;
		for (u32 i = 0; i < nr; i++)
			folio_lock(folios[i]);
		remove_batch(mapping, folios, nr);
	}
}

/* ---- check ------------------------------------------------------------------------------ */

/* True when it is dirty. */
static bool check_folio(const struct mapping *mapping, const struct folio *folio)
{
	unsigned order = folio_order(folio);

	ensure(order == 0 || order_is_mappable(order));
	ensure(is_aligned(folio->index, folio_nr_pages(folio)));
	ensure(refcount_read(&folio->refs) > 0);
	ensure(folio->index < mapping_size_pages(mapping));
	ensure(mapping->kind == QUIRE_FILE_HOST || folio_test(folio, FRAME_UPTODATE));
	return folio_test(folio, FRAME_DIRTY);
}

void mapping_check(struct mapping *mapping)
{
	struct maple_cursor cur = maple_cursor(&mapping->folios, 0, 0);
	u64 nr_pages = 0, nr_dirty = 0, expected = 0;
	struct folio *folio;

	spin_lock(&mapping->index_lock);
	maple_check(&mapping->folios);
	maple_for_each(&cur, folio, UINT64_MAX) {
		if (folio == CACHE_GONE)
			continue;
		/* The ranges of one folio follow one another. */
		ensure(cur.first == (expected ? expected : folio->index));
		ensure(folio_is_at(folio, mapping, cur.first));
		ensure(folio_is_at(folio, mapping, cur.last));
		expected = cur.last == folio_last_index(folio) ? 0 : cur.last + 1;
		nr_pages += cur.last - cur.first + 1;
		if (cur.first == folio->index)
			nr_dirty += check_folio(mapping, folio);
	}
	ensure(expected == 0);
	ensure(nr_pages == mapping->nr_pages && nr_dirty == mapping->nr_dirty);
	spin_unlock(&mapping->index_lock);
	interval_check(&mapping->i_mmap.vmas);
}
