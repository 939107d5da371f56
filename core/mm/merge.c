/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Merging: two neighbours that say the same are one VMA, as Linux merges.
 *
 * They say the same when flags and file agree, page indexes go on across the
 * boundary and their anon_vmas can become one.  That is so when they have the
 * same, or when only one side has any and its chain has a single link: a VMA
 * that came through fork has longer chains, and whoever joined it would
 * inherit all its ancestors' locks (Rik van Riel's reason for chains).
 *
 * Whatever the case, a merge is one target that grows, at most two VMAs that
 * are swallowed and at most one that shrinks; one store covers it.
 */
#include "mm/change.h"

static bool chain_is_single(const struct vma *vma)
{
	return vma->anon_chain.next->next == &vma->anon_chain;
}

/* The anon_vmas of `vma` and of the range can become one. */
static bool anon_vmas_agree(const struct vma *vma, const struct vma_spec *spec)
{
	const struct vma *holder = vma->anon_vma != NULL ? vma : spec->source;

	if (vma->anon_vma == spec->anon_vma)
		return true;
	if (vma->anon_vma != NULL && spec->anon_vma != NULL)
		return false;
	return holder == NULL || chain_is_single(holder);
}

static bool vma_says_same(const struct vma *vma, const struct vma_spec *spec)
{
	return vma->flags == spec->flags && vma->file == spec->file &&
	       (vma->flags & VMA_SPECIAL) == 0 && anon_vmas_agree(vma, spec);
}

static bool joins_prev(const struct vma *prev, const struct vma_spec *spec)
{
	return prev != NULL && vma_says_same(prev, spec) &&
	       prev->pgoff + vma_nr_pages(prev) == spec->pgoff;
}

static bool joins_next(const struct vma *next, const struct vma_spec *spec,
		       const struct vma *joined_prev)
{
	if (next == NULL || !vma_says_same(next, spec) ||
	    spec->pgoff + ((spec->end - spec->start) >> PAGE_SHIFT) != next->pgoff)
		return false;
	/* Each may agree with the range and yet not with the other. */
	return joined_prev == NULL || joined_prev->anon_vma == NULL ||
	       next->anon_vma == NULL || joined_prev->anon_vma == next->anon_vma;
}

struct merge {
	struct vma *target;      /* grows to [start, end) */
	u64 start, end;
	struct vma *anon_source; /* lends its anon_vma if target has none */
	struct vma *swallowed[2];
	struct vma *shrunk;      /* loses what target wins, to [.., ..): */
	u64 shrunk_start, shrunk_end;
	bool guarded;            /* the new range has guards */
};

/* Guards may be where any of those had them that became one. */
static bool any_is_guarded(const struct merge *m)
{
	return m->guarded || (m->shrunk != NULL && m->shrunk->guarded) ||
	       (m->swallowed[0] != NULL && m->swallowed[0]->guarded) ||
	       (m->swallowed[1] != NULL && m->swallowed[1]->guarded);
}

static int merge_commit(struct maple_cursor *cur, const struct merge *m)
{
	struct vma *target = m->target;
	struct mm *mm = target->mm;
	bool borrowed = target->anon_vma == NULL && m->anon_source != NULL &&
			m->anon_source->anon_vma != NULL;
	int ret;

	if (borrowed) {
		ret = anon_vma_clone(&mm->q->rmap, target, m->anon_source);
		if (ret)
			return ret;
	}
	maple_set_range(cur, m->start, m->end - 1);
	ret = maple_store(cur, target);
	if (ret) {
		if (borrowed)
			anon_vma_unlink(&mm->q->rmap, target);
		return ret;
	}
	if (unlikely(any_is_guarded(m)))
		target->guarded = true;
	vma_set_range(target, m->start, m->end);
	if (m->shrunk != NULL)
		vma_set_range(m->shrunk, m->shrunk_start, m->shrunk_end);
	for (unsigned i = 0; i < ARRAY_LEN(m->swallowed); i++) {
		if (m->swallowed[i] == NULL)
			continue;
		vma_dispose(m->swallowed[i]);
		mm->nr_vmas--;
	}
	return 0;
}

int vma_merge_new(struct maple_cursor *cur, const struct vma_spec *spec,
		  struct vma *prev, struct vma *next, struct vma **ret_vma)
{
	struct merge m = { .start = spec->start, .end = spec->end,
			   .anon_source = spec->source,
			   .guarded = spec->source != NULL && spec->source->guarded };
	bool left, right;
	int ret;

	*ret_vma = NULL;
	if (spec->flags & VMA_SPECIAL)
		return 0;
	left = joins_prev(prev, spec);
	right = joins_next(next, spec, left ? prev : NULL);
	if (left) {
		m.target = prev;
		m.start = prev->start;
		if (right) {
			m.end = next->end;
			m.swallowed[0] = next;
			if (next->anon_vma != NULL)
				m.anon_source = next;
		}
	} else if (right) {
		m.target = next;
		m.end = next->end;
	} else {
		return 0;
	}
	ret = merge_commit(cur, &m);
	if (ret == 0)
		*ret_vma = m.target;
	return ret;
}

/* The VMA that ends at / begins at `addr`, or NULL; leaves `cur` alone. */
static struct vma *neighbour_below(const struct maple_cursor *cur, u64 addr)
{
	return addr == 0 ? NULL : maple_load(cur->tree, addr - 1);
}

static struct vma *neighbour_above(const struct maple_cursor *cur, u64 addr)
{
	return maple_load(cur->tree, addr);
}

/* Merges [spec) of `vma` with its neighbours; *ret_vma NULL: none agrees. */
static int vma_merge_part(struct maple_cursor *cur, struct vma *vma,
			  const struct vma_spec *spec, struct vma **ret_vma)
{
	bool at_start = spec->start == vma->start, at_end = spec->end == vma->end;
	struct vma *prev = at_start ? neighbour_below(cur, spec->start) : NULL;
	struct vma *next = at_end ? neighbour_above(cur, spec->end) : NULL;
	bool left = joins_prev(prev, spec);
	bool right = joins_next(next, spec, left ? prev : NULL);
	struct merge m = { .start = spec->start, .end = spec->end, .anon_source = vma };
	int ret;

	*ret_vma = NULL;
	if ((spec->flags & VMA_SPECIAL) || !(left || right))
		return 0;
	if (left) {
		m.target = prev;
		m.start = prev->start;
		if (right) {
			m.end = next->end;
			m.swallowed[1] = next;
			if (next->anon_vma != NULL)
				m.anon_source = next;
		}
	} else {
		m.target = next;
		m.end = next->end;
	}
	if (at_start && at_end) {
		m.swallowed[0] = vma;
	} else {
		m.shrunk = vma;
		m.shrunk_start = at_start ? spec->end : vma->start;
		m.shrunk_end = at_start ? vma->end : spec->start;
	}
	ret = merge_commit(cur, &m);
	if (ret == 0)
		*ret_vma = m.target;
	return ret;
}

int vma_modify(struct maple_cursor *cur, struct vma *vma, u64 start, u64 end, u32 flags,
	       struct vma **ret_vma)
{
	struct vma_spec spec = {
		.start = start, .end = end, .pgoff = vma_index(vma, start),
		.flags = flags, .file = vma->file,
		.anon_vma = vma->anon_vma, .source = vma,
	};
	struct vma *merged;
	int ret;

	if (start == vma->start || end == vma->end) {
		ret = vma_merge_part(cur, vma, &spec, &merged);
		if (ret)
			return ret;
		if (merged != NULL) {
			*ret_vma = merged;
			return 0;
		}
	}
	return vma_carve(cur, vma, start, end, ret_vma);
}
