/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapcounts of small and large folios, what fork takes from an entry, pins.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include "unit/rmap_world.h"

/* Orders that every geometry has room for in a small world. */
#define ORDER 2
#define NR (1u << ORDER)

struct counts_world {
	struct world w;
	struct rmap_owner childs; /* the child's address space */
	struct vma vma, child;
	struct folio *folio;
	entry_t slot;             /* the parent's, of the first page */
};

static void open_with_folio(struct counts_world *c, unsigned order, bool per_subpage)
{
	world_open(&c->w, WORLD_FRAMES);
	c->w.rmap.per_subpage = per_subpage;
	assert_int_equal(rmap_owner_init(&c->w.rmap, &c->childs), 0);
	vma_setup(&c->vma, &c->w.pt, 0, 16);
	vma_setup(&c->child, &c->w.pt, 0, 16);
	c->child.owner = &c->childs;
	assert_int_equal(anon_vma_prepare(&c->w.rmap, &c->vma, NULL), 0);
	assert_int_equal(anon_vma_fork(&c->w.rmap, &c->child, &c->vma), 0);
	c->folio = folio_alloc(&c->w.phys, order, 0);
	assert_non_null(c->folio);
	assert_int_equal(rmap_folio_init(&c->w.rmap, c->folio), 0);
	c->slot = entry_make(folio_pfn(&c->w.phys, c->folio),
			     QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE | ENTRY_EXCLUSIVE);
}

/* `nr_refs`: what is left of the mappings' references. */
static void close_with_folio(struct counts_world *c, u32 nr_refs)
{
	assert_int_equal(refcount_read(&c->folio->refs), nr_refs);
	folio_put_n(&c->w.phys, c->folio, nr_refs);
	anon_vma_unlink(&c->w.rmap, &c->child);
	anon_vma_unlink(&c->w.rmap, &c->vma);
	rmap_owner_fini(&c->childs);
	world_close(&c->w);
}

static u32 mapcount(struct counts_world *c)
{
	return folio_mapcount(&c->w.rmap, c->folio);
}

/* As fork does with one page. */
static bool share(struct counts_world *c, bool may_be_pinned)
{
	return rmap_share_entry(&c->slot, entry_load(&c->slot), c->folio, may_be_pinned);
}

static void a_new_page_is_mapped_once(void **state)
{
	struct counts_world c;

	(void)state;
	open_with_folio(&c, 0, false);
	folio_set(c.folio, FRAME_UPTODATE);
	assert_false(folio_is_mapped(&c.w.rmap, c.folio));
	rmap_add_new_anon(c.folio, &c.vma, 3 << PAGE_SHIFT);
	assert_true(folio_is_anon(c.folio));
	assert_ptr_equal(mapping_anon_vma(c.folio->mapping), c.vma.anon_vma);
	assert_int_equal(c.folio->index, 3);
	assert_int_equal(mapcount(&c), 1);
	assert_true(folio_is_exclusive(c.folio, &c.vma));
	assert_true(folio_test(c.folio, FRAME_SWAPBACKED));
	assert_true(folio_test(c.folio, FRAME_UPTODATE));
	rmap_remove(&c.folio->frame, 1, &c.vma);
	assert_false(folio_is_mapped(&c.w.rmap, c.folio));
	assert_int_equal(rmap_add_anon(&c.folio->frame, 1, &c.vma), 0);
	assert_int_equal(mapcount(&c), 1);
	rmap_remove(&c.folio->frame, 1, &c.vma);
	close_with_folio(&c, 1);
}

static void fork_shares_a_page(void **state)
{
	struct counts_world c;

	(void)state;
	open_with_folio(&c, 0, false);
	rmap_add_new_anon(c.folio, &c.vma, 0);
	assert_true(share(&c, true));
	assert_false(entry_is_exclusive(c.slot) || entry_is_writable(c.slot));
	assert_int_equal(rmap_dup_get(&c.w.phys, &c.folio->frame, &c.child), 0);
	assert_int_equal(mapcount(&c), 2);
	assert_true(folio_is_shared(&c.w.rmap, c.folio));
	/* The parent leaves; the child writes and has it to itself. */
	rmap_remove(&c.folio->frame, 1, &c.vma);
	rmap_move_anon(c.folio, &c.child);
	assert_ptr_equal(mapping_anon_vma(c.folio->mapping), c.child.anon_vma);
	rmap_remove(&c.folio->frame, 1, &c.child);
	close_with_folio(&c, 2);
}

static void fork_leaves_a_pinned_page_alone(void **state)
{
	struct counts_world c;
	entry_t before;

	(void)state;
	open_with_folio(&c, 0, false);
	before = c.slot;
	rmap_add_new_anon(c.folio, &c.vma, 0);
	assert_false(folio_maybe_pinned(c.folio));
	assert_true(folio_pin(c.folio));
	assert_true(folio_maybe_pinned(c.folio));
	assert_false(share(&c, true));
	assert_int_equal(c.slot.v, before.v);
	/* An mm in which nobody ever pinned is not asked. */
	assert_true(share(&c, false));
	/* Shared already: one more sharer changes nothing for the pin. */
	assert_true(share(&c, true));
	assert_int_equal(mapcount(&c), 1);
	folio_unpin(&c.w.phys, c.folio);
	assert_false(folio_maybe_pinned(c.folio));
	rmap_remove(&c.folio->frame, 1, &c.vma);
	close_with_folio(&c, 1);
}

static void assert_large(struct counts_world *c, u32 total, u32 nr_mapped)
{
	struct folio_large *large = folio_large(c->folio);
	u32 sum = 0, mapped = 0;

	for (u64 i = 0; i < NR; i++) {
		sum += folio_frame(c->folio, i)->mapcount;
		mapped += folio_frame(c->folio, i)->mapcount != 0;
	}
	if (c->w.rmap.per_subpage) {
		assert_int_equal(sum, total);
		assert_int_equal(mapped, nr_mapped);
	} else {
		assert_int_equal(sum, 0);
	}
	assert_int_equal(large->nr_pages_mapped, mapped);
	assert_int_equal(mapcount(c), total);
	assert_int_equal(large->entire_mapcount, 0);
}

static void counts_in_batches(bool per_subpage)
{
	struct counts_world c;

	open_with_folio(&c, ORDER, per_subpage);
	rmap_add_new_anon(c.folio, &c.vma, 4 << PAGE_SHIFT);
	assert_int_equal(refcount_read(&c.folio->refs), NR);
	assert_large(&c, NR, NR);
	assert_true(folio_is_exclusive(c.folio, &c.vma));
	assert_int_equal(rmap_dup(folio_frame(c.folio, 1), 2, &c.child), 0);
	assert_large(&c, NR + 2, NR);
	assert_false(folio_is_exclusive(c.folio, &c.vma));
	assert_true(folio_is_shared(&c.w.rmap, c.folio));
	rmap_remove(folio_frame(c.folio, 0), NR, &c.vma);
	assert_large(&c, 2, 2);
	assert_true(folio_is_exclusive(c.folio, &c.child));
	assert_int_equal(rmap_add_anon(folio_frame(c.folio, 2), 2, &c.vma), 0);
	assert_large(&c, 4, 3);
	rmap_remove(folio_frame(c.folio, 1), 2, &c.child);
	assert_large(&c, 2, 2);
	rmap_remove(folio_frame(c.folio, 2), 2, &c.vma);
	assert_large(&c, 0, 0);
	close_with_folio(&c, NR);
}

static void a_large_folio_counts_in_batches(void **state)
{
	(void)state;
	counts_in_batches(false);
	counts_in_batches(true);
}

static void a_leaf_counts_for_every_page(void **state)
{
	(void)state;
	for (int per_subpage = 0; per_subpage <= 1; per_subpage++) {
		struct counts_world c;

		open_with_folio(&c, ORDER, per_subpage);
		rmap_add_new_anon_leaf(c.folio, &c.vma, 0);
		assert_int_equal(mapcount(&c), NR);
		assert_int_equal(refcount_read(&c.folio->refs), NR);
		assert_int_equal(rmap_add_leaf(c.folio, &c.child), 0);
		assert_int_equal(mapcount(&c), 2 * NR);
		assert_int_equal(folio_large(c.folio)->entire_mapcount, 2 * per_subpage);
		rmap_split_leaf(c.folio, &c.child);
		assert_int_equal(mapcount(&c), 2 * NR);
		rmap_remove_leaf(c.folio, &c.vma);
		assert_large(&c, NR, NR);
		rmap_remove(folio_frame(c.folio, 0), NR, &c.child);
		assert_large(&c, 0, 0);
		close_with_folio(&c, NR);
	}
}

static void a_full_count_is_refused(void **state)
{
	(void)state;
	for (int per_subpage = 0; per_subpage <= 1; per_subpage++) {
		struct counts_world c;
		u32 nr = 1;

		open_with_folio(&c, ORDER, per_subpage);
		rmap_add_new_anon(c.folio, &c.vma, 0);
		while (rmap_dup(&c.folio->frame, NR, &c.child) == 0)
			nr++;
		assert_int_equal(rmap_dup(&c.folio->frame, NR, &c.child), -QUIRE_EOVERFLOW);
		assert_large(&c, nr * NR, NR);
		while (--nr > 0)
			rmap_remove(&c.folio->frame, NR, &c.child);
		rmap_remove(&c.folio->frame, NR, &c.vma);
		close_with_folio(&c, NR);
	}
}

static void an_order_that_cannot_be_counted_is_refused(void **state)
{
	struct world w;
	struct folio *folio;

	(void)state;
	world_open(&w, WORLD_FRAMES);
	folio = folio_alloc(&w.phys, 1, 0);
	assert_int_equal(rmap_folio_init(&w.rmap, folio), -QUIRE_EINVAL);
	folio_put(&w.phys, folio);
	world_close(&w);
}

static void pins_do_not_wrap_the_count(void **state)
{
	struct counts_world c;
	u32 nr = 0;

	(void)state;
	open_with_folio(&c, 0, false);
	while (folio_pin(c.folio))
		nr++;
	assert_int_equal(refcount_read(&c.folio->refs), 1 + nr * FOLIO_PIN_BIAS);
	assert_true(nr >= UINT32_MAX / 2 / FOLIO_PIN_BIAS);
	while (nr-- > 0)
		folio_unpin(&c.w.phys, c.folio);
	close_with_folio(&c, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_page_is_mapped_once),
		cmocka_unit_test(fork_shares_a_page),
		cmocka_unit_test(fork_leaves_a_pinned_page_alone),
		cmocka_unit_test(a_large_folio_counts_in_batches),
		cmocka_unit_test(a_leaf_counts_for_every_page),
		cmocka_unit_test(a_full_count_is_refused),
		cmocka_unit_test(an_order_that_cannot_be_counted_is_refused),
		cmocka_unit_test(pins_do_not_wrap_the_count),
	};

	return cmocka_run_group_tests(tests, attach_thread, detach_thread);
}
