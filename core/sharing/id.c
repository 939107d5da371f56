/* SPDX-License-Identifier: BSD-2-Clause */
/* Ids of mms: see id.h. */
#include "sharing/id.h"

#include "base/bits.h"

#define FULL UINT64_MAX

/* Words of each row; returns their sum. */
static u64 rows_size(u64 nr_ids, u64 *sizes, unsigned *ret_nr_rows)
{
	u64 below = nr_ids, sum = 0;
	unsigned row = 0;

	do {
		sizes[row] = BITMAP_WORDS(below);
		below = sizes[row];
		sum += below;
		row++;
	} while (below > 1);
	*ret_nr_rows = row;
	return sum;
}

/* Bits past the end stand for nothing: taken. */
static void fill_from(u64 *row, u64 nr_bits)
{
	for (u64 bit = nr_bits; bit % 64 != 0; bit++)
		bitmap_set(row, bit);
}

int sharing_ids_init(struct sharing_ids *ids, u64 nr_ids)
{
	u64 sizes[SHARING_ID_ROWS], *words;
	struct sharing_ids new = { .nr_ids = nr_ids };
	u64 sum = rows_size(nr_ids, sizes, &new.nr_rows);

	check(nr_ids >= 2 && nr_ids <= BIT(32));
	words = mach_should_fail() ? NULL : mach_mem_alloc(sum * sizeof(u64), 64);
	if (!words)
		return -QUIRE_ENOMEM;
	for (unsigned row = 0; row < new.nr_rows; row++) {
		new.rows[row] = words;
		fill_from(words, row == 0 ? nr_ids : sizes[row - 1]);
		words += sizes[row];
	}
	bitmap_set(new.rows[0], 0); /* 0 is no id */
	*ids = new;
	spin_init(&ids->lock, LOCK_RANK_leaf);
	return 0;
}

u64 sharing_ids_fini(struct sharing_ids *ids)
{
	u64 sizes[SHARING_ID_ROWS], sum;
	unsigned nr_rows;

	sum = rows_size(ids->nr_ids, sizes, &nr_rows);
	mach_mem_free(ids->rows[0], sum * sizeof(u64));
	return ids->nr_taken;
}

/* The lowest clear bit of the lowest row.  Pre: the top word is not full. */
static u64 find_free(const struct sharing_ids *ids)
{
	u64 at = 0;

	for (unsigned row = ids->nr_rows; row-- > 0;)
		at = at * 64 + bit_lowest(~ids->rows[row][at]);
	return at;
}

static void mark_taken(struct sharing_ids *ids, u64 at)
{
	for (unsigned row = 0; row < ids->nr_rows; row++) {
		bitmap_set(ids->rows[row], at);
		at /= 64;
		if (ids->rows[row][at] != FULL)
			break;
	}
}

int sharing_id_alloc(struct sharing_ids *ids, u32 *ret_id)
{
	int ret = -QUIRE_EAGAIN;

	spin_lock(&ids->lock);
	if (ids->rows[ids->nr_rows - 1][0] != FULL) {
		u64 id = find_free(ids);

		mark_taken(ids, id);
		ids->nr_taken++;
		*ret_id = (u32)id;
		ret = 0;
	}
	spin_unlock(&ids->lock);
	return ret;
}

void sharing_id_free(struct sharing_ids *ids, u32 id)
{
	u64 at = id;

	spin_lock(&ids->lock);
	check(id > 0 && id < ids->nr_ids && bitmap_test(ids->rows[0], id));
	for (unsigned row = 0; row < ids->nr_rows; row++) {
		bitmap_clear(ids->rows[row], at);
		at /= 64;
	}
	ids->nr_taken--;
	spin_unlock(&ids->lock);
}
