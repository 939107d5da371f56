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

/* What large folios are counted by, in every combination. */
struct how {
	const struct sharing_ops *ops;
	bool per_subpage;
};

static const struct how hows[] = {
	{ &sharing_moments, false }, { &sharing_moments, true },
	{ &sharing_one_word, false }, { &sharing_one_word, true },
};
#define NR_HOWS (sizeof(hows) / sizeof(hows[0]))

/* Not mapped, with one reference, and one for the first mapping. */
static void open_with_folio(struct counts_world *c, unsigned order, const struct how *how)
{
	world_open(&c->w, WORLD_FRAMES);
	c->w.rmap.sharing.ops = how->ops;
	c->w.rmap.per_subpage = how->per_subpage;
	assert_int_equal(rmap_owner_init(&c->w.rmap, &c->childs), 0);
	vma_setup(&c->vma, &c->w.pt, 0, 16);
	vma_setup(&c->child, &c->w.pt, 0, 16);
	c->child.owner = &c->childs;
	assert_int_equal(anon_vma_prepare(&c->w.rmap, &c->vma, NULL), 0);
	assert_int_equal(anon_vma_fork(&c->w.rmap, &c->child, &c->vma), 0);
	c->folio = folio_alloc(&c->w.phys, order, 0);
	assert_non_null(c->folio);
	assert_int_equal(rmap_anon_folio_init(&c->w.rmap, c->folio), 0);
	c->slot = entry_make(folio_pfn(&c->w.phys, c->folio),
			     QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE | ENTRY_EXCLUSIVE);
}

static void close_with_folio(struct counts_world *c)
{
	assert_int_equal(folio_refs(c->folio), 1);
	folio_put(&c->w.phys, c->folio);
	anon_vma_unlink(&c->w.rmap, &c->child);
	anon_vma_unlink(&c->w.rmap, &c->vma);
	rmap_owner_fini(&c->childs);
	world_close(&c->w);
}

/* All of the folio is mapped by the parent; the test has a reference of its own. */
static void map_new(struct counts_world *c, u64 addr, bool leaf)
{
	u32 nr = (u32)folio_nr_pages(c->folio);

	if (leaf)
		rmap_add_new_anon_leaf(c->folio, &c->vma, addr);
	else
		rmap_add_new_anon(c->folio, &c->vma, addr);
	assert_int_equal(folio_refs(c->folio), nr);
	folio_get(c->folio);
	assert_int_equal(folio_refs(c->folio), nr + 1);
}

static void unmap(struct counts_world *c, u32 page, u32 nr, struct vma *vma)
{
	unmap_pages(&c->w.phys, folio_frame(c->folio, page), nr, vma);
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
	open_with_folio(&c, 0, &hows[0]);
	folio_set(c.folio, FRAME_UPTODATE);
	assert_false(folio_is_mapped(&c.w.rmap, c.folio));
	map_new(&c, 3 << PAGE_SHIFT, false);
	assert_true(folio_is_anon(c.folio));
	assert_ptr_equal(mapping_anon_vma(c.folio->mapping), c.vma.anon_vma);
	assert_int_equal(c.folio->index, 3);
	assert_int_equal(mapcount(&c), 1);
	assert_true(folio_is_exclusive(c.folio, &c.vma));
	assert_true(folio_test(c.folio, FRAME_SWAPBACKED));
	assert_true(folio_test(c.folio, FRAME_UPTODATE));
	unmap(&c, 0, 1, &c.vma);
	assert_false(folio_is_mapped(&c.w.rmap, c.folio));
	assert_int_equal(rmap_add_get(&c.folio->frame, 1, &c.vma), 0);
	assert_int_equal(mapcount(&c), 1);
	unmap(&c, 0, 1, &c.vma);
	close_with_folio(&c);
}

static void fork_shares_a_page(void **state)
{
	struct counts_world c;

	(void)state;
	open_with_folio(&c, 0, &hows[0]);
	map_new(&c, 0, false);
	assert_true(share(&c, true));
	assert_false(entry_is_exclusive(c.slot) || entry_is_writable(c.slot));
	assert_int_equal(rmap_add_get(&c.folio->frame, 1, &c.child), 0);
	assert_int_equal(mapcount(&c), 2);
	assert_true(folio_is_shared(&c.w.rmap, c.folio));
	/* The parent leaves; the child writes and has it to itself. */
	unmap(&c, 0, 1, &c.vma);
	rmap_move_anon(c.folio, &c.child);
	assert_ptr_equal(mapping_anon_vma(c.folio->mapping), c.child.anon_vma);
	unmap(&c, 0, 1, &c.child);
	close_with_folio(&c);
}

static void fork_leaves_a_pinned_page_alone(void **state)
{
	struct counts_world c;
	entry_t before;

	(void)state;
	open_with_folio(&c, 0, &hows[0]);
	before = c.slot;
	map_new(&c, 0, false);
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
	unmap(&c, 0, 1, &c.vma);
	close_with_folio(&c);
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

static void counts_in_batches(const struct how *how)
{
	struct counts_world c;

	open_with_folio(&c, ORDER, how);
	map_new(&c, 4 << PAGE_SHIFT, false);
	assert_large(&c, NR, NR);
	assert_true(folio_is_exclusive(c.folio, &c.vma));
	assert_int_equal(rmap_add_get(folio_frame(c.folio, 1), 2, &c.child), 0);
	assert_large(&c, NR + 2, NR);
	assert_false(folio_is_exclusive(c.folio, &c.vma));
	assert_true(folio_is_shared(&c.w.rmap, c.folio));
	unmap(&c, 0, NR, &c.vma);
	assert_large(&c, 2, 2);
	assert_true(folio_is_exclusive(c.folio, &c.child));
	assert_int_equal(rmap_add_get(folio_frame(c.folio, 2), 2, &c.vma), 0);
	assert_large(&c, 4, 3);
	unmap(&c, 1, 2, &c.child);
	assert_large(&c, 2, 2);
	unmap(&c, 2, 2, &c.vma);
	assert_large(&c, 0, 0);
	close_with_folio(&c);
}

static void a_large_folio_counts_in_batches(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_HOWS; i++)
		counts_in_batches(&hows[i]);
}

static void a_leaf_counts_for_every_page(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_HOWS; i++) {
		struct counts_world c;

		open_with_folio(&c, ORDER, &hows[i]);
		map_new(&c, 0, true);
		assert_int_equal(mapcount(&c), NR);
			assert_int_equal(rmap_add_leaf_get(c.folio, &c.child), 0);
		assert_int_equal(mapcount(&c), 2 * NR);
		assert_int_equal(folio_large(c.folio)->entire_mapcount, 2 * hows[i].per_subpage);
		rmap_split_leaf(c.folio, &c.child);
		assert_int_equal(mapcount(&c), 2 * NR);
		folio_put_n(&c.w.phys, c.folio, rmap_remove_leaf(c.folio, &c.vma));
		assert_large(&c, NR, NR);
		unmap(&c, 0, NR, &c.child);
		assert_large(&c, 0, 0);
		close_with_folio(&c);
	}
}

static void a_full_count_is_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_HOWS; i++) {
		struct counts_world c;
		u32 nr = 1;

		open_with_folio(&c, ORDER, &hows[i]);
		map_new(&c, 0, false);
		while (rmap_add_get(&c.folio->frame, NR, &c.child) == 0)
			nr++;
		assert_int_equal(rmap_add_get(&c.folio->frame, NR, &c.child), -QUIRE_EOVERFLOW);
		assert_large(&c, nr * NR, NR);
		while (--nr > 0)
			unmap(&c, 0, NR, &c.child);
		unmap(&c, 0, NR, &c.vma);
		close_with_folio(&c);
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
	open_with_folio(&c, 0, &hows[0]);
	while (folio_pin(c.folio))
		nr++;
	assert_int_equal(refcount_read(&c.folio->refs), 1 + nr * FOLIO_PIN_BIAS);
	assert_true(nr >= UINT32_MAX / 2 / FOLIO_PIN_BIAS);
	while (nr-- > 0)
		folio_unpin(&c.w.phys, c.folio);
	close_with_folio(&c);
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
