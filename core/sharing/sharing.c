/* SPDX-License-Identifier: BSD-2-Clause */
/* What all rivals have in common: see sharing.h. */
#include "sharing/sharing.h"

const struct sharing_ops *const sharing_rivals[] = {
	&sharing_first_subpage,
	&sharing_total_mapcount,
	&sharing_owner,
	&sharing_rmap_ids_posted,
	&sharing_rmap_ids,
	&sharing_mm_ids,
	&sharing_moments,
	&sharing_moments_locked,
	&sharing_moments_wide,
	&sharing_one_word,
	NULL
};

int sharing_init(struct sharing *sharing, const struct sharing_ops *ops, u64 nr_ids)
{
	struct sharing_ids ids;
	int ret;

	if (nr_ids < 2 || nr_ids > ops->max_ids)
		return -QUIRE_EINVAL;
	ret = sharing_ids_init(&ids, nr_ids);
	if (ret)
		return ret;
	sharing->ops = ops;
	sharing->ids = ids;
	return 0;
}

u64 sharing_fini(struct sharing *sharing)
{
	return sharing_ids_fini(&sharing->ids);
}

int sharing_mm_init(struct sharing *sharing, struct sharing_mm *mm)
{
	int ret = sharing_id_alloc(&sharing->ids, &mm->id);

	if (ret)
		return ret;
	refcount_init(&mm->refs, 1);
	if (sharing->ops->mm_init)
		sharing->ops->mm_init(mm);
	return 0;
}

void sharing_mm_get(struct sharing_mm *mm)
{
	refcount_get(&mm->refs, 1);
}

bool sharing_mm_put(struct sharing *sharing, struct sharing_mm *mm)
{
	u32 id = mm->id; /* who holds no reference may free the mm */

	if (!refcount_put(&mm->refs, 1))
		return false;
	sharing_id_free(&sharing->ids, id);
	return true;
}

int sharing_folio_init(const struct sharing *sharing, struct sharing_state *state,
		       unsigned order)
{
	const struct sharing_ops *ops = sharing->ops;

	if (order > QUIRE_MAX_ORDER || order < ops->min_order || order > ops->max_order)
		return -QUIRE_EINVAL;
	ops->init(state);
	return 0;
}

int sharing_split(const struct sharing *sharing, struct sharing_state *state)
{
	if (sharing->ops->mapcount(state) != 0)
		return -QUIRE_EBUSY;
	sharing->ops->fini(state);
	return 0;
}

int sharing_collapse(const struct sharing *sharing, struct sharing_state *state,
		     unsigned order, const struct sharing_mm *mm, u32 first, u32 nr)
{
	int ret = sharing_folio_init(sharing, state, order);

	if (ret == 0)
		sharing_map_new(sharing, state, order, mm, first, nr);
	return ret;
}
