/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Are all references to a large anonymous folio mappings of the writer's mm?
 *
 * If they are, nobody else sees its pages, and nobody will: a mapping or a
 * reference is only ever had from a mapping or a reference, and fork, which makes
 * another mm's, waits for the mmap lock that the fault holds.  So it is enough
 * that it was true at one instant while the table lock was held
 * (002_c2ad3a3754927e32.txt names the conditions).
 *
 * A mapping takes its reference before it is counted and drops it after, so
 * at every instant
 *
 *     references >= mappings >= the entries of the table whose lock is held
 *
 * Row reuse-proof has these ways to see that they are equal:
 *
 *   count-entries  The entries stay as they are under the lock.  So one load of the
 *                  references that equals their number is the instant.  There are
 *                  no two loads, and nothing can hide between them.  Needs all
 *                  the mappings in one table, where fork found them and leaves them.
 *                  What the rival says first only spares the counting; one that is
 *                  vague costs copies.
 *   entries-alone  The same without asking: no rival is needed.
 *   rival          The rival keeps its own mappings from changing, or sees that none
 *                  did, while it loads the references: any tables will do, but
 *                  not any rival (moments has no such moment).
 *   double-read    The mappings before, the references, the mappings after, and
 *                  before = after.  Wrong: equal is not unchanged.  Two pages of
 *                  the mm's are unmapped and two others mapped again, by a folio split
 *                  that gives up; in between the two missing references are made up
 *                  for by the split's and by somebody's who must not see the
 *                  write (moments.md's open point; scenario reuse-double-read).
 */
#include "mm/reuse.h"

static u32 count_entries(const struct neighbours *n)
{
	u32 nr = 0;

	for (u32 i = 0; i < n->nr; i++)
		nr += maps_pfn(entry_load(&n->slots[i]), n->first_pfn + i);
	return nr;
}

/* ACQUIRE pairs with the put of whoever copied a page before us: it has read
 * what we are about to overwrite. */
static u32 read_refs(struct folio *folio)
{
	return folio_refs(folio);
}

static enum reuse by_entries(struct folio *folio, const struct neighbours *n)
{
	u32 refs = read_refs(folio);

	return refs <= n->nr && count_entries(n) == refs ? REUSE_WHOLE : REUSE_NOTHING;
}

static enum reuse by_rival(struct folio *folio, const struct vma *vma)
{
	rmap_score_question(folio, vma);
	return sharing_all_mine(&vma->owner->rmap->sharing, folio_sharing(folio),
				folio_order(folio), vma_sharer(vma), &folio->refs) ?
		       REUSE_MAPPED : REUSE_NOTHING;
}

/*
 * Known to be wrong.  The numbers are read right beside the references, so that
 * only pages that changed place can deceive it.
 */
static enum reuse by_double_read(struct folio *folio, const struct vma *vma)
{
	const struct rmap *rmap = vma->owner->rmap;
	bool mine = folio_is_exclusive(folio, vma);
	u32 before = folio_mapcount(rmap, folio);
	u32 refs = read_refs(folio);
	u32 after = folio_mapcount(rmap, folio);

	mine = mine && folio_is_exclusive(folio, vma);
	return mine && refs == before && after == before ? REUSE_MAPPED : REUSE_NOTHING;
}

enum reuse reuse_proof(enum quire_alternative how, struct folio *folio,
		       const struct vma *vma, const struct neighbours *n)
{
	switch (how) {
	case QUIRE_reuse_proof_entries_alone:
		return by_entries(folio, n);
	case QUIRE_reuse_proof_rival:
		return by_rival(folio, vma);
	case QUIRE_reuse_proof_double_read:
		return by_double_read(folio, vma);
	default:
		return folio_is_exclusive(folio, vma) ? by_entries(folio, n) : REUSE_NOTHING;
	}
}
