/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests of rmap/ and file/ stand on: physical memory, the caches, and
 * VMAs of address spaces that consist of nothing but page tables.
 */
#ifndef TESTS_RMAP_WORLD_H
#define TESTS_RMAP_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/testing.h>

#include "rmap/rmap.h"

#define WORLD_FRAMES 4096

struct world {
	struct phys phys;
	struct rmap rmap;
	struct rmap_owner owner; /* of what vma_setup makes, unless told otherwise */
	struct pgtable pt;
};

static const struct rmap_config world_rmap = { .ops = &sharing_moments, .nr_ids = 16 };

static inline void world_open(struct world *w, u64 nr_frames)
{
	assert_int_equal(phys_init(&w->phys, nr_frames, 4), 0);
	assert_int_equal(rmap_init(&w->rmap, &w->phys, &world_rmap), 0);
	assert_int_equal(rmap_owner_init(&w->rmap, &w->owner), 0);
	/* No CPU loads these tables, so no flush reaches a machine's MMU. */
	assert_int_equal(pgtable_init(&w->pt, &w->phys, NULL, 1), 0);
}

static inline void world_close(struct world *w)
{
	pgtable_fini(&w->pt);
	rmap_owner_fini(&w->owner);
	assert_int_equal(rmap_fini(&w->rmap), 0);
	assert_int_equal(phys_fini(&w->phys), 0);
}

/* A VMA of pages [first, first + nr) of the address space, anonymous. */
static inline void vma_setup(struct vma *vma, struct pgtable *pt, u64 first, u64 nr)
{
	*vma = (struct vma){
		.start = first << PAGE_SHIFT,
		.end = (first + nr) << PAGE_SHIFT,
		.pt = pt,
		.owner = &container_of(pt, struct world, pt)->owner,
		.pgoff = first,
		.flags = VMA_READ | VMA_WRITE,
	};
	list_init(&vma->anon_chain);
}

/* A batch is no longer mapped, and its references go. */
static inline void unmap_pages(struct phys *phys, struct frame *frame, u32 nr, struct vma *vma)
{
	folio_put_n(phys, frame_folio(frame), rmap_remove(frame, nr, vma));
}

static inline u64 chain_length(const struct vma *vma)
{
	u64 nr = 0;

	list_for_each(pos, &vma->anon_chain)
		nr++;
	return nr;
}

static inline bool chain_has(const struct vma *vma, const struct anon_vma *anon_vma)
{
	list_for_each(pos, &vma->anon_chain)
		if (list_entry(pos, struct anon_vma_link, same_vma)->anon_vma == anon_vma)
			return true;
	return false;
}

static inline int attach_thread(void **state)
{
	(void)state;
	return mach_attach();
}

static inline int detach_thread(void **state)
{
	(void)state;
	mach_detach();
	return 0;
}

#endif
