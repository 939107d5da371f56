/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_vmas: chains over prepare, clone, fork and exit; reuse; failures; and a
 * random family of address spaces against a plain record of who may map what.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include "unit/rmap_world.h"

static void prepare_gives_one_anon_vma(void **state)
{
	struct world w;
	struct vma vma;
	struct anon_vma *first;

	(void)state;
	world_open(&w, WORLD_FRAMES);
	vma_setup(&vma, &w.pt, 4, 8);
	assert_int_equal(anon_vma_prepare(&w.rmap, &vma, NULL), 0);
	first = vma.anon_vma;
	assert_non_null(first);
	assert_ptr_equal(first->root, first);
	assert_int_equal(first->nr_vmas, 1);
	assert_int_equal(anon_vma_prepare(&w.rmap, &vma, NULL), 0);
	assert_ptr_equal(vma.anon_vma, first);
	vma_rmap_check(&vma);
	anon_vma_unlink(&w.rmap, &vma);
	assert_null(vma.anon_vma);
	anon_vma_unlink(&w.rmap, &vma);
	world_close(&w);
}

static void a_neighbour_shares_only_what_it_is_linked_to(void **state)
{
	struct world w;
	struct vma a, b, child;

	(void)state;
	world_open(&w, WORLD_FRAMES);
	vma_setup(&a, &w.pt, 0, 4);
	vma_setup(&b, &w.pt, 4, 4);
	vma_setup(&child, &w.pt, 0, 4);
	assert_null(vma_shareable_anon_vma(&a));
	assert_int_equal(anon_vma_prepare(&w.rmap, &a, NULL), 0);
	assert_ptr_equal(vma_shareable_anon_vma(&a), a.anon_vma);
	assert_int_equal(anon_vma_prepare(&w.rmap, &b, vma_shareable_anon_vma(&a)), 0);
	assert_ptr_equal(a.anon_vma, b.anon_vma);
	assert_int_equal(a.anon_vma->nr_vmas, 2);
	assert_int_equal(anon_vma_fork(&w.rmap, &child, &a), 0);
	/* Two links: a neighbour that took one would miss the other. */
	assert_null(vma_shareable_anon_vma(&child));
	vma_rmap_check(&a);
	vma_rmap_check(&b);
	vma_rmap_check(&child);
	anon_vma_unlink(&w.rmap, &a);
	vma_rmap_check(&b);
	anon_vma_unlink(&w.rmap, &child);
	anon_vma_unlink(&w.rmap, &b);
	world_close(&w);
}

static void fork_links_the_child_everywhere(void **state)
{
	struct world w;
	struct vma parent, child, grandchild, plain, copy;

	(void)state;
	world_open(&w, WORLD_FRAMES);
	vma_setup(&parent, &w.pt, 0, 4);
	vma_setup(&child, &w.pt, 0, 4);
	vma_setup(&grandchild, &w.pt, 0, 4);
	assert_int_equal(anon_vma_prepare(&w.rmap, &parent, NULL), 0);
	assert_int_equal(anon_vma_fork(&w.rmap, &child, &parent), 0);
	assert_int_equal(anon_vma_fork(&w.rmap, &grandchild, &child), 0);
	assert_int_equal(chain_length(&grandchild), 3);
	assert_true(chain_has(&grandchild, parent.anon_vma));
	assert_true(chain_has(&grandchild, child.anon_vma));
	assert_ptr_equal(child.anon_vma->parent, parent.anon_vma);
	assert_ptr_equal(grandchild.anon_vma->root, parent.anon_vma);
	assert_int_equal(parent.anon_vma->links.nr, 3);
	assert_int_equal(parent.anon_vma->nr_children, 2); /* itself and the child's */

	vma_setup(&plain, &w.pt, 8, 4);
	vma_setup(&copy, &w.pt, 8, 4);
	assert_int_equal(anon_vma_fork(&w.rmap, &copy, &plain), 0);
	assert_null(copy.anon_vma);
	assert_int_equal(anon_vma_clone(&w.rmap, &copy, &plain), 0);
	assert_null(copy.anon_vma);

	/* A child that goes is no child any more. */
	assert_int_equal(child.anon_vma->nr_children, 1);
	anon_vma_unlink(&w.rmap, &grandchild);
	assert_int_equal(child.anon_vma->nr_children, 0);
	/* The root outlives its own VMA. */
	anon_vma_unlink(&w.rmap, &parent);
	vma_rmap_check(&child);
	anon_vma_unlink(&w.rmap, &child);
	world_close(&w);
}

/* A process that forks and exits, again and again: the chain stays short. */
static void generations_do_not_lengthen_the_chain(void **state)
{
	struct world w;
	struct vma vmas[2];

	(void)state;
	world_open(&w, WORLD_FRAMES);
	vma_setup(&vmas[0], &w.pt, 0, 4);
	assert_int_equal(anon_vma_prepare(&w.rmap, &vmas[0], NULL), 0);
	for (unsigned i = 0; i < 200; i++) {
		struct vma *old = &vmas[i % 2], *new = &vmas[(i + 1) % 2];

		vma_setup(new, &w.pt, 0, 4);
		assert_int_equal(anon_vma_fork(&w.rmap, new, old), 0);
		anon_vma_unlink(&w.rmap, old);
		vma_rmap_check(new);
		assert_in_range(chain_length(new), 1, 3);
	}
	anon_vma_unlink(&w.rmap, &vmas[0]);
	world_close(&w);
}

/*
 * CVE-2022-42703.  B is reused by one VMA; with one number for children and
 * VMAs together it then looks as free as before, and a second VMA takes it.
 */
static void an_anon_vma_is_not_reused_twice(void **state)
{
	struct world w;
	struct vma root, b, c, first, second, third;
	struct anon_vma *reused;

	(void)state;
	world_open(&w, WORLD_FRAMES);
	vma_setup(&root, &w.pt, 0, 4);
	vma_setup(&b, &w.pt, 0, 4);
	vma_setup(&c, &w.pt, 0, 4);
	vma_setup(&first, &w.pt, 0, 4);
	vma_setup(&second, &w.pt, 0, 4);
	vma_setup(&third, &w.pt, 0, 4);
	assert_int_equal(anon_vma_prepare(&w.rmap, &root, NULL), 0);
	assert_int_equal(anon_vma_fork(&w.rmap, &b, &root), 0);
	assert_int_equal(anon_vma_fork(&w.rmap, &c, &b), 0);
	reused = b.anon_vma;
	anon_vma_unlink(&w.rmap, &b);
	assert_int_equal(reused->nr_vmas, 0);
	assert_int_equal(reused->nr_children, 1);

	assert_int_equal(anon_vma_fork(&w.rmap, &first, &c), 0);
	assert_ptr_equal(first.anon_vma, reused);
	assert_int_equal(chain_length(&first), 3);
	/* No child of it is left: one VMA, degree one. */
	anon_vma_unlink(&w.rmap, &c);
	assert_int_equal(anon_vma_fork(&w.rmap, &second, &first), 0);
	assert_ptr_not_equal(second.anon_vma, reused);
	assert_int_equal(anon_vma_fork(&w.rmap, &third, &first), 0);
	assert_ptr_not_equal(third.anon_vma, reused);
	assert_int_equal(reused->nr_vmas, 1);
	/* The root, with no VMA and a child, is nobody's either. */
	anon_vma_unlink(&w.rmap, &root);
	anon_vma_unlink(&w.rmap, &third);
	assert_int_equal(anon_vma_fork(&w.rmap, &third, &first), 0);
	assert_ptr_not_equal(third.anon_vma, first.anon_vma->root);

	anon_vma_unlink(&w.rmap, &first);
	anon_vma_unlink(&w.rmap, &second);
	anon_vma_unlink(&w.rmap, &third);
	world_close(&w);
}

static void failed_allocations_leave_nothing(void **state)
{
	struct world w;
	struct vma src, dst;
	int (*const calls[])(struct rmap *, struct vma *, const struct vma *) = {
		anon_vma_clone, anon_vma_fork,
	};

	(void)state;
	world_open(&w, WORLD_FRAMES);
	vma_setup(&src, &w.pt, 0, 4);
	vma_setup(&dst, &w.pt, 0, 4);
	for (unsigned nth = 1;; nth++) {
		int err;

		quire_fail_nth(nth);
		err = anon_vma_prepare(&w.rmap, &src, NULL);
		if (!err)
			break;
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_null(src.anon_vma);
		assert_true(list_empty(&src.anon_chain));
		assert_in_range(nth, 1, 8);
	}
	for (unsigned call = 0; call < ARRAY_LEN(calls); call++)
		for (unsigned nth = 1;; nth++) {
			int err;

			quire_fail_nth(nth);
			err = calls[call](&w.rmap, &dst, &src);
			quire_fail_nth(0);
			vma_rmap_check(&src);
			vma_rmap_check(&dst);
			assert_int_equal(src.anon_vma->links.nr, err ? 1 : 2);
			assert_int_equal(refcount_read(&src.anon_vma->refs),
					 call == 1 && !err ? 2 : 1);
			anon_vma_unlink(&w.rmap, &dst);
			if (!err)
				break;
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_in_range(nth, 1, 8);
		}
	quire_fail_nth(0);
	anon_vma_unlink(&w.rmap, &src);
	world_close(&w);
}

static void changes_of_a_vma_move_its_intervals(void **state)
{
	struct world w;
	struct vma vma, child;
	struct i_mmap i_mmap;
	int some_mapping;

	(void)state;
	world_open(&w, WORLD_FRAMES);
	i_mmap_init(&i_mmap);
	vma_setup(&vma, &w.pt, 8, 4);
	vma_setup(&child, &w.pt, 8, 4);
	vma.mapping = (struct mapping *)(void *)&some_mapping;
	i_mmap_insert(&i_mmap, &vma);
	assert_int_equal(anon_vma_prepare(&w.rmap, &vma, NULL), 0);
	assert_int_equal(anon_vma_fork(&w.rmap, &child, &vma), 0);
	assert_null(interval_first(&i_mmap.vmas, 12, 20));
	rmap_vma_change_begin(&vma);
	assert_int_equal(i_mmap.vmas.nr, 0);
	assert_int_equal(vma.anon_vma->links.nr, 1);
	vma.end += 2 * PAGE_SIZE;
	rmap_vma_change_end(&vma);
	assert_ptr_equal(interval_first(&i_mmap.vmas, 13, 20), &vma.i_mmap);
	assert_non_null(interval_first(&vma.anon_vma->links, 13, 20));
	vma_rmap_check(&vma);
	vma_rmap_check(&child);
	i_mmap_remove(&i_mmap, &vma);
	assert_int_equal(i_mmap.vmas.nr, 0);
	anon_vma_unlink(&w.rmap, &vma);
	anon_vma_unlink(&w.rmap, &child);
	world_close(&w);
}

/* ---- a random family ----------------------------------------------------------- */

#define NR_MMS 6
#define NR_VMAS 3
#define NR_FOLIOS 64
#define VMA_PAGES 4

/* A page written in some VMA: who may map it, by the rules of fork alone. */
struct page_model {
	bool used;
	struct anon_vma *mapping;
	bool seen_by[NR_MMS][NR_VMAS];
};

struct family {
	struct world w;
	bool alive[NR_MMS];
	bool has[NR_MMS][NR_VMAS];
	struct vma vmas[NR_MMS][NR_VMAS];
	struct page_model pages[NR_FOLIOS];
	unsigned seed;
};

static unsigned pick(struct family *f, unsigned n)
{
	return (unsigned)rand_r(&f->seed) % n;
}

static void forget_vma(struct family *f, unsigned m, unsigned v)
{
	f->has[m][v] = false;
	for (unsigned p = 0; p < NR_FOLIOS; p++) {
		bool any = false;

		f->pages[p].seen_by[m][v] = false;
		for (unsigned i = 0; i < NR_MMS * NR_VMAS; i++)
			any |= f->pages[p].seen_by[i / NR_VMAS][i % NR_VMAS];
		f->pages[p].used &= any;
	}
	anon_vma_unlink(&f->w.rmap, &f->vmas[m][v]);
}

static void copy_pages(struct family *f, unsigned m, unsigned v, unsigned from_m,
		       unsigned from_v)
{
	for (unsigned p = 0; p < NR_FOLIOS; p++)
		f->pages[p].seen_by[m][v] = f->pages[p].seen_by[from_m][from_v];
}

static void do_fork(struct family *f, unsigned from, unsigned to)
{
	if (!f->alive[from] || f->alive[to])
		return;
	f->alive[to] = true;
	for (unsigned v = 0; v < NR_VMAS; v++) {
		if (!f->has[from][v])
			continue;
		f->has[to][v] = true;
		vma_setup(&f->vmas[to][v], &f->w.pt, v * VMA_PAGES, VMA_PAGES);
		assert_int_equal(anon_vma_fork(&f->w.rmap, &f->vmas[to][v],
					       &f->vmas[from][v]), 0);
		copy_pages(f, to, v, from, v);
	}
}

/* A split, or a new mapping that becomes a neighbour's twin. */
static void do_clone(struct family *f, unsigned m, unsigned from, unsigned to)
{
	if (!f->has[m][from] || f->has[m][to])
		return;
	f->has[m][to] = true;
	vma_setup(&f->vmas[m][to], &f->w.pt, to * VMA_PAGES, VMA_PAGES);
	assert_int_equal(anon_vma_clone(&f->w.rmap, &f->vmas[m][to], &f->vmas[m][from]), 0);
}

static void do_write(struct family *f, unsigned m, unsigned v, unsigned p)
{
	struct vma *vma = &f->vmas[m][v];

	if (!f->alive[m] || f->pages[p].used)
		return;
	if (!f->has[m][v]) {
		f->has[m][v] = true;
		vma_setup(vma, &f->w.pt, v * VMA_PAGES, VMA_PAGES);
	}
	assert_int_equal(anon_vma_prepare(&f->w.rmap, vma, NULL), 0);
	f->pages[p] = (struct page_model){ .used = true, .mapping = vma->anon_vma };
	f->pages[p].seen_by[m][v] = true;
}

static bool same_links(const struct vma *a, const struct vma *b)
{
	list_for_each(pos, &a->anon_chain)
		if (!chain_has(b, list_entry(pos, struct anon_vma_link, same_vma)->anon_vma))
			return false;
	return chain_length(a) == chain_length(b);
}

static void check_family(struct family *f)
{
	for (unsigned m = 0; m < NR_MMS; m++)
		for (unsigned v = 0; v < NR_VMAS; v++) {
			struct vma *vma = &f->vmas[m][v];

			if (!f->has[m][v])
				continue;
			vma_rmap_check(vma);
			for (unsigned p = 0; p < NR_FOLIOS; p++)
				if (f->pages[p].used && f->pages[p].seen_by[m][v])
					assert_true(chain_has(vma, f->pages[p].mapping));
			for (unsigned o = 0; o < v; o++)
				if (f->has[m][o] && vma->anon_vma &&
				    vma->anon_vma == f->vmas[m][o].anon_vma)
					assert_true(same_links(vma, &f->vmas[m][o]));
		}
}

static void exit_mm(struct family *f, unsigned m)
{
	for (unsigned v = 0; v < NR_VMAS; v++)
		if (f->has[m][v])
			forget_vma(f, m, v);
	f->alive[m] = false;
}

static void random_family(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 12; seed++) {
		struct family *f = calloc(1, sizeof(*f));

		f->seed = seed;
		world_open(&f->w, WORLD_FRAMES);
		f->alive[0] = true;
		for (unsigned op = 0; op < 600; op++) {
			unsigned m = pick(f, NR_MMS), v = pick(f, NR_VMAS);

			switch (pick(f, 6)) {
			case 0:
			case 1:
				do_fork(f, m, pick(f, NR_MMS));
				break;
			case 2:
				do_clone(f, m, v, pick(f, NR_VMAS));
				break;
			case 3:
				do_write(f, m, v, pick(f, NR_FOLIOS));
				break;
			case 4:
				if (f->has[m][v])
					forget_vma(f, m, v);
				break;
			case 5:
				exit_mm(f, m);
				break;
			}
			f->alive[0] = true;
			check_family(f);
		}
		for (unsigned m = 0; m < NR_MMS; m++)
			exit_mm(f, m);
		world_close(&f->w);
		free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prepare_gives_one_anon_vma),
		cmocka_unit_test(a_neighbour_shares_only_what_it_is_linked_to),
		cmocka_unit_test(fork_links_the_child_everywhere),
		cmocka_unit_test(generations_do_not_lengthen_the_chain),
		cmocka_unit_test(an_anon_vma_is_not_reused_twice),
		cmocka_unit_test(failed_allocations_leave_nothing),
		cmocka_unit_test(changes_of_a_vma_move_its_intervals),
		cmocka_unit_test(random_family),
	};

	return cmocka_run_group_tests(tests, attach_thread, detach_thread);
}
