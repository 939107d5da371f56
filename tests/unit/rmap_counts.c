/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapcounts of small and large folios, the exclusive mark over fork, pins.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include "unit/rmap_world.h"

/* Orders that every geometry has room for in a small world. */
#define ORDER 2
#define NR (1u << ORDER)

struct counts_world {
	struct world w;
	struct vma vma, child;
	struct folio *folio;
};

static void open_with_folio(struct counts_world *c, unsigned order)
{
	world_open(&c->w, WORLD_FRAMES);
	vma_setup(&c->vma, &c->w.pt, 0, 16);
	vma_setup(&c->child, &c->w.pt, 0, 16);
	assert_int_equal(anon_vma_prepare(&c->w.rmap, &c->vma, NULL), 0);
	assert_int_equal(anon_vma_fork(&c->w.rmap, &c->child, &c->vma), 0);
	c->folio = folio_alloc(&c->w.phys, order, 0);
	assert_non_null(c->folio);
}

static void close_with_folio(struct counts_world *c)
{
	folio_put(&c->w.phys, c->folio);
	anon_vma_unlink(&c->w.rmap, &c->child);
	anon_vma_unlink(&c->w.rmap, &c->vma);
	world_close(&c->w);
}

static bool exclusive(struct folio *folio, u64 page)
{
	return frame_test(folio_frame(folio, page), FRAME_ANON_EXCLUSIVE);
}

static void a_new_page_is_mapped_once_and_exclusive(void **state)
{
	struct counts_world c;

	(void)state;
	open_with_folio(&c, 0);
	folio_set(c.folio, FRAME_UPTODATE);
	assert_false(folio_is_mapped(c.folio));
	rmap_add_new_anon(c.folio, &c.vma, 3 << PAGE_SHIFT);
	assert_true(folio_is_anon(c.folio));
	assert_ptr_equal(mapping_anon_vma(c.folio->mapping), c.vma.anon_vma);
	assert_int_equal(c.folio->index, 3);
	assert_int_equal(folio_mapcount(c.folio), 1);
	assert_true(exclusive(c.folio, 0));
	assert_true(folio_test(c.folio, FRAME_SWAPBACKED));
	assert_true(folio_test(c.folio, FRAME_UPTODATE));
	rmap_remove(&c.w.phys, &c.folio->frame, 1, &c.vma);
	assert_false(folio_is_mapped(c.folio));
	rmap_add_anon(&c.folio->frame, 1, &c.vma, false);
	assert_int_equal(folio_mapcount(c.folio), 1);
	rmap_remove(&c.w.phys, &c.folio->frame, 1, &c.vma);
	close_with_folio(&c);
}

static void fork_shares_a_page(void **state)
{
	struct counts_world c;

	(void)state;
	open_with_folio(&c, 0);
	rmap_add_new_anon(c.folio, &c.vma, 0);
	assert_int_equal(rmap_dup_anon(&c.folio->frame, 1, &c.vma, true), 0);
	assert_int_equal(folio_mapcount(c.folio), 2);
	assert_false(exclusive(c.folio, 0));
	/* The parent leaves; the child writes and has it to itself. */
	rmap_remove(&c.w.phys, &c.folio->frame, 1, &c.vma);
	rmap_move_anon(c.folio, &c.child);
	assert_ptr_equal(mapping_anon_vma(c.folio->mapping), c.child.anon_vma);
	rmap_remove(&c.w.phys, &c.folio->frame, 1, &c.child);
	close_with_folio(&c);
}

static void fork_leaves_a_pinned_page_alone(void **state)
{
	struct counts_world c;

	(void)state;
	open_with_folio(&c, 0);
	rmap_add_new_anon(c.folio, &c.vma, 0);
	assert_false(folio_maybe_pinned(c.folio));
	assert_true(folio_pin(c.folio));
	assert_true(folio_maybe_pinned(c.folio));
	assert_int_equal(rmap_dup_anon(&c.folio->frame, 1, &c.vma, true), -QUIRE_EBUSY);
	assert_int_equal(folio_mapcount(c.folio), 1);
	assert_true(exclusive(c.folio, 0));
	/* An mm in which nobody ever pinned is not asked. */
	assert_int_equal(rmap_dup_anon(&c.folio->frame, 1, &c.vma, false), 0);
	/* Shared already: one more sharer changes nothing for the pin. */
	assert_int_equal(rmap_dup_anon(&c.folio->frame, 1, &c.vma, true), 0);
	assert_int_equal(folio_mapcount(c.folio), 3);
	folio_unpin(&c.w.phys, c.folio);
	assert_false(folio_maybe_pinned(c.folio));
	assert_int_equal(refcount_read(&c.folio->refs), 1);
	for (unsigned i = 0; i < 3; i++)
		rmap_remove(&c.w.phys, &c.folio->frame, 1, &c.vma);
	close_with_folio(&c);
}

static void assert_large(struct folio *folio, u32 total, u32 nr_mapped)
{
	struct folio_large *large = folio_large(folio);
	u32 sum = 0, mapped = 0;

	for (u64 i = 0; i < NR; i++) {
		sum += folio_frame(folio, i)->mapcount;
		mapped += folio_frame(folio, i)->mapcount != 0;
	}
	assert_int_equal(sum, total);
	assert_int_equal(mapped, nr_mapped);
	assert_int_equal(large->total_mapcount, total);
	assert_int_equal(large->nr_pages_mapped, nr_mapped);
	assert_int_equal(folio_mapcount(folio), total);
	assert_int_equal(large->entire_mapcount, 0);
}

static void a_large_folio_counts_in_batches(void **state)
{
	struct counts_world c;

	(void)state;
	open_with_folio(&c, ORDER);
	rmap_add_new_anon(c.folio, &c.vma, 4 << PAGE_SHIFT);
	assert_large(c.folio, NR, NR);
	for (u64 i = 0; i < NR; i++)
		assert_true(exclusive(c.folio, i));
	assert_int_equal(rmap_dup_anon(folio_frame(c.folio, 1), 2, &c.vma, false), 0);
	assert_large(c.folio, NR + 2, NR);
	assert_true(exclusive(c.folio, 0));
	assert_false(exclusive(c.folio, 1));
	assert_false(exclusive(c.folio, 2));
	assert_true(exclusive(c.folio, 3));
	rmap_remove(&c.w.phys, folio_frame(c.folio, 0), NR, &c.vma);
	assert_large(c.folio, 2, 2);
	rmap_add_anon(folio_frame(c.folio, 2), 2, &c.vma, false);
	assert_large(c.folio, 4, 3);
	rmap_remove(&c.w.phys, folio_frame(c.folio, 1), 2, &c.child);
	assert_large(c.folio, 2, 2);
	rmap_remove(&c.w.phys, folio_frame(c.folio, 2), 2, &c.vma);
	assert_large(c.folio, 0, 0);
	close_with_folio(&c);
}

static void a_refused_large_fork_changes_nothing(void **state)
{
	struct counts_world c;

	(void)state;
	open_with_folio(&c, ORDER);
	rmap_add_new_anon(c.folio, &c.vma, 0);
	frame_clear(folio_frame(c.folio, 1), FRAME_ANON_EXCLUSIVE);
	assert_true(folio_pin(c.folio));
	assert_int_equal(refcount_read(&c.folio->refs), 2);
	assert_true(folio_maybe_pinned(c.folio));
	assert_int_equal(rmap_dup_anon(folio_frame(c.folio, 0), NR, &c.vma, true),
			 -QUIRE_EBUSY);
	assert_large(c.folio, NR, NR);
	for (u64 i = 0; i < NR; i++)
		assert_int_equal(exclusive(c.folio, i), i != 1);
	/* That page alone is shared already. */
	assert_int_equal(rmap_dup_anon(folio_frame(c.folio, 1), 1, &c.vma, true), 0);
	assert_large(c.folio, NR + 1, NR);
	folio_unpin(&c.w.phys, c.folio);
	assert_int_equal(rmap_dup_anon(folio_frame(c.folio, 0), NR, &c.vma, true), 0);
	assert_large(c.folio, 2 * NR + 1, NR);
	rmap_remove(&c.w.phys, folio_frame(c.folio, 1), 1, &c.vma);
	rmap_remove(&c.w.phys, folio_frame(c.folio, 0), NR, &c.vma);
	rmap_remove(&c.w.phys, folio_frame(c.folio, 0), NR, &c.vma);
	close_with_folio(&c);
}

static void pins_do_not_wrap_the_count(void **state)
{
	struct counts_world c;
	u32 nr = 0;

	(void)state;
	open_with_folio(&c, 0);
	while (folio_pin(c.folio))
		nr++;
	assert_int_equal(refcount_read(&c.folio->refs), 1 + nr * FOLIO_PIN_BIAS);
	assert_true(nr >= UINT32_MAX / 2 / FOLIO_PIN_BIAS);
	while (nr-- > 0)
		folio_unpin(&c.w.phys, c.folio);
	assert_int_equal(refcount_read(&c.folio->refs), 1);
	close_with_folio(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_page_is_mapped_once_and_exclusive),
		cmocka_unit_test(fork_shares_a_page),
		cmocka_unit_test(fork_leaves_a_pinned_page_alone),
		cmocka_unit_test(a_large_folio_counts_in_batches),
		cmocka_unit_test(a_refused_large_fork_changes_nothing),
		cmocka_unit_test(pins_do_not_wrap_the_count),
	};

	return cmocka_run_group_tests(tests, attach_thread, detach_thread);
}
