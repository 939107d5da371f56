/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks: which VMAs are met and at which address; and cleaning entries before
 * writeback.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include "unit/rmap_world.h"

#define NR_VMAS 4

struct visit_log {
	unsigned nr, stop_after;
	struct vma *vmas[NR_VMAS];
	u64 addrs[NR_VMAS];
};

static bool note_visit(struct folio *folio, struct vma *vma, u64 addr, void *arg)
{
	struct visit_log *log = arg;

	(void)folio;
	assert_in_range(log->nr, 0, NR_VMAS - 1);
	log->vmas[log->nr] = vma;
	log->addrs[log->nr] = addr;
	return ++log->nr != log->stop_after;
}

static void walk(struct world *w, struct folio *folio, struct i_mmap *i_mmap,
		 struct visit_log *log, unsigned stop_after)
{
	const struct rmap_walk how = { .visit = note_visit, .arg = log };

	*log = (struct visit_log){ .stop_after = stop_after };
	rmap_walk(&w->rmap, folio, i_mmap, &how);
}

static void an_anonymous_page_is_found_in_the_family(void **state)
{
	struct world w;
	struct vma parent, child;
	struct visit_log log;
	struct folio *folio;

	(void)state;
	world_open(&w, WORLD_FRAMES);
	vma_setup(&parent, &w.pt, 8, 4);
	assert_int_equal(anon_vma_prepare(&w.rmap, &parent, NULL), 0);
	folio = folio_alloc(&w.phys, 0, 0);
	rmap_add_new_anon(folio, &parent, 9 << PAGE_SHIFT);
	/* The child's copy was moved elsewhere: same pages, other addresses. */
	vma_setup(&child, &w.pt, 20, 4);
	child.pgoff = 8;
	assert_int_equal(anon_vma_fork(&w.rmap, &child, &parent), 0);
	assert_int_equal(rmap_add_get(&folio->frame, 1, &child), 0);

	walk(&w, folio, NULL, &log, 0);
	assert_int_equal(log.nr, 2);
	assert_ptr_equal(log.vmas[0], &parent);
	assert_int_equal(log.addrs[0], 9 << PAGE_SHIFT);
	assert_ptr_equal(log.vmas[1], &child);
	assert_int_equal(log.addrs[1], 21 << PAGE_SHIFT);
	walk(&w, folio, NULL, &log, 1);
	assert_int_equal(log.nr, 1);

	/* A VMA that no longer covers the page is not asked. */
	rmap_vma_change_begin(&child);
	child.start += 2 * PAGE_SIZE;
	child.pgoff += 2;
	rmap_vma_change_end(&child);
	walk(&w, folio, NULL, &log, 0);
	assert_int_equal(log.nr, 1);

	/* Unmapped: its anon_vma may be gone, and nobody asks. */
	unmap_pages(&w.phys, &folio->frame, 1, &child);
	assert_int_equal(rmap_remove(&folio->frame, 1, &parent), 1); /* put below */
	assert_null(folio_hold_anon_vma(&w.rmap, folio));
	walk(&w, folio, NULL, &log, 0);
	assert_int_equal(log.nr, 0);
	anon_vma_unlink(&w.rmap, &parent);
	anon_vma_unlink(&w.rmap, &child);
	folio_put(&w.phys, folio);
	world_close(&w);
}

static void who_holds_an_anon_vma_keeps_it(void **state)
{
	struct world w;
	struct vma vma;
	struct folio *folio;
	struct anon_vma *held;

	(void)state;
	world_open(&w, WORLD_FRAMES);
	vma_setup(&vma, &w.pt, 0, 4);
	assert_int_equal(anon_vma_prepare(&w.rmap, &vma, NULL), 0);
	folio = folio_alloc(&w.phys, 0, 0);
	assert_null(folio_hold_anon_vma(&w.rmap, folio)); /* in no mapping */
	rmap_add_new_anon(folio, &vma, 0);
	held = folio_hold_anon_vma(&w.rmap, folio);
	assert_ptr_equal(held, vma.anon_vma);
	assert_int_equal(rmap_remove(&folio->frame, 1, &vma), 1); /* put below */
	anon_vma_unlink(&w.rmap, &vma);
	mach_rcu_barrier();
	assert_int_equal(refcount_read(&held->refs), 1);
	assert_int_equal(held->links.nr, 0);
	anon_vma_put(&w.rmap, held);
	folio_put(&w.phys, folio);
	world_close(&w);
}

/* ---- files ---------------------------------------------------------------------- */

struct file_world {
	struct world w;
	struct i_mmap i_mmap;
	int mapping; /* stands for one: only its address is used */
	struct vma vmas[NR_VMAS];
	struct folio *folio; /* pages 4 .. 7 */
};

static void open_file_world(struct file_world *f, u64 nr_frames)
{
	/* pgoff: 0..7 covers all, 6..13 its second half, 2..5 its first, 9.. none */
	static const struct { u64 first, nr, pgoff; } shapes[NR_VMAS] = {
		{ 0, 8, 0 }, { 16, 8, 6 }, { 32, 4, 2 }, { 48, 4, 9 },
	};

	world_open(&f->w, nr_frames);
	i_mmap_init(&f->i_mmap);
	for (unsigned i = 0; i < NR_VMAS; i++) {
		vma_setup(&f->vmas[i], &f->w.pt, shapes[i].first, shapes[i].nr);
		f->vmas[i].pgoff = shapes[i].pgoff;
		f->vmas[i].flags |= VMA_SHARED;
		f->vmas[i].mapping = (struct mapping *)(void *)&f->mapping;
		i_mmap_insert(&f->i_mmap, &f->vmas[i]);
		vma_rmap_check(&f->vmas[i]);
	}
	f->folio = folio_alloc(&f->w.phys, 2, 0);
	assert_non_null(f->folio);
	f->folio->mapping = &f->mapping;
	f->folio->index = 4;
}

static void close_file_world(struct file_world *f)
{
	struct list tables;

	for (unsigned i = 0; i < NR_VMAS; i++)
		i_mmap_remove(&f->i_mmap, &f->vmas[i]);
	folio_put(&f->w.phys, f->folio);
	list_init(&tables);
	pgtable_unlink_range(&f->w.pt, 0, TASK_SIZE, 0, 0, &tables);
	list_for_each_safe(pos, &tables)
		table_free(&f->w.pt, list_entry(pos, struct table, link));
	world_close(&f->w);
}

static void a_file_page_is_found_where_it_is_mapped(void **state)
{
	struct file_world f;
	struct visit_log log;

	(void)state;
	open_file_world(&f, WORLD_FRAMES);
	walk(&f.w, f.folio, &f.i_mmap, &log, 0);
	assert_int_equal(log.nr, 3);
	assert_ptr_equal(log.vmas[0], &f.vmas[0]);
	assert_int_equal(log.addrs[0], 4 << PAGE_SHIFT);
	assert_ptr_equal(log.vmas[1], &f.vmas[2]);
	assert_int_equal(log.addrs[1], 34 << PAGE_SHIFT);
	assert_ptr_equal(log.vmas[2], &f.vmas[1]);
	assert_int_equal(log.addrs[2], 16 << PAGE_SHIFT); /* the VMA starts at page 6 */
	close_file_world(&f);
}

static entry_t *map_page(struct file_world *f, unsigned v, u64 index, u64 bits)
{
	struct vma *vma = &f->vmas[v];
	struct frame *frame = folio_frame(f->folio, index - 4);
	struct table *table;
	entry_t *slot;

	assert_int_equal(pgtable_ensure(&f->w.pt, vma_address(vma, index), 0, &slot, &table),
			 0);
	assert_int_equal(rmap_add_file(frame, vma), 0);
	entry_store(slot, entry_make(frame_pfn(&f->w.phys, frame),
				     QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_ACCESSED | bits));
	return slot;
}

static void unmap_page(struct file_world *f, unsigned v, u64 index, entry_t *slot)
{
	entry_take(slot);
	assert_int_equal(rmap_remove(folio_frame(f->folio, index - 4), 1, &f->vmas[v]), 1);
}

static void cleaning_reaches_every_entry(void **state)
{
	struct file_world f;
	entry_t *slots[4], *other;
	struct folio *stranger;

	(void)state;
	open_file_world(&f, WORLD_FRAMES);
	slots[0] = map_page(&f, 0, 4, QUIRE_ENTRY_WRITE | QUIRE_ENTRY_DIRTY);
	slots[1] = map_page(&f, 0, 7, QUIRE_ENTRY_DIRTY);
	slots[2] = map_page(&f, 1, 6, QUIRE_ENTRY_WRITE);
	slots[3] = map_page(&f, 2, 5, 0);
	/* In the same places, but not the folio's: a page that took its place. */
	stranger = folio_alloc(&f.w.phys, 0, 0);
	other = map_page(&f, 0, 5, 0);
	unmap_page(&f, 0, 5, other);
	entry_store(other, entry_make(folio_pfn(&f.w.phys, stranger),
				      QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE));

	assert_int_equal(rmap_clean(&f.w.rmap, f.folio, &f.i_mmap), 3);
	for (unsigned i = 0; i < 4; i++) {
		entry_t e = entry_load(slots[i]);

		assert_true(entry_is_present(e) && entry_is_young(e));
		assert_false(entry_is_writable(e) || entry_is_dirty(e));
	}
	assert_true(entry_is_writable(entry_load(other)));
	assert_int_equal(rmap_clean(&f.w.rmap, f.folio, &f.i_mmap), 0);

	/* An entry of a private mapping cannot write to the file's folio. */
	f.vmas[0].flags &= ~(u32)VMA_SHARED;
	entry_fetch_set(slots[0], QUIRE_ENTRY_DIRTY);
	assert_int_equal(rmap_clean(&f.w.rmap, f.folio, &f.i_mmap), 0);

	unmap_page(&f, 0, 4, slots[0]);
	unmap_page(&f, 0, 7, slots[1]);
	unmap_page(&f, 1, 6, slots[2]);
	unmap_page(&f, 2, 5, slots[3]);
	assert_int_equal(rmap_clean(&f.w.rmap, f.folio, &f.i_mmap), 0);
	entry_take(other);
	folio_put(&f.w.phys, stranger);
	close_file_world(&f);
}

static void cleaning_reaches_a_leaf_of_the_upper_level(void **state)
{
	struct file_world f;
	struct folio *huge;
	struct table *table;
	entry_t *slot;
	struct vma *vma = &f.vmas[0];

	(void)state;
	open_file_world(&f, WORLD_FRAMES + (UINT64_C(4) << PMD_ORDER));
	huge = folio_alloc(&f.w.phys, PMD_ORDER, 0);
	assert_non_null(huge);
	huge->mapping = &f.mapping;
	huge->index = 0;
	rmap_vma_change_begin(vma);
	vma->start = 0;
	vma->end = PMD_SIZE;
	rmap_vma_change_end(vma);
	for (unsigned i = 1; i < NR_VMAS; i++)
		f.vmas[i].flags &= ~(u32)VMA_SHARED;
	assert_int_equal(pgtable_ensure(&f.w.pt, 0, 1, &slot, &table), 0);
	assert_int_equal(rmap_add_leaf_get(huge, vma), 0);
	entry_store(slot, entry_make(folio_pfn(&f.w.phys, huge),
				     QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE |
				     QUIRE_ENTRY_LEAF | QUIRE_ENTRY_DIRTY));
	assert_int_equal(rmap_clean(&f.w.rmap, huge, &f.i_mmap), 1);
	assert_false(entry_is_writable(entry_load(slot)));
	assert_true(entry_is_leaf(entry_load(slot)));
	entry_take(slot);
	folio_put_n(&f.w.phys, huge, rmap_remove_leaf(huge, vma));
	folio_put(&f.w.phys, huge);
	close_file_world(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_anonymous_page_is_found_in_the_family),
		cmocka_unit_test(who_holds_an_anon_vma_keeps_it),
		cmocka_unit_test(a_file_page_is_found_where_it_is_mapped),
		cmocka_unit_test(cleaning_reaches_every_entry),
		cmocka_unit_test(cleaning_reaches_a_leaf_of_the_upper_level),
	};

	return cmocka_run_group_tests(tests, attach_thread, detach_thread);
}
