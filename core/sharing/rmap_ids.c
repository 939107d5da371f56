/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rmap-ids: the series of November 2023 that 000_fa4b51931d6963d5.txt defends,
 * repaired.  The arithmetic is in rmap_ids.h.
 *
 * Sound and exact for folios whose pages an mm maps at most once.  Each class of
 * the table obeys (P + 1)^id_bits <= 2^64, which the static assertions below check
 * (rmap_ids_posted.c has the tables that did not), and a batch of n pages adds
 * n sub-ids on every path.
 *
 *     tail 1 last:   the sequence counter (atomic_seq.h)
 *     tail 1 half:   n
 *     tail 2, 3:     words[0], words[1], last: values 0-2 and 3-5
 */
#include "sharing/rmap_ids.h"

#include "sharing/atomic_seq.h"

_Static_assert(sizeof(struct atomic_seq) == sizeof(u64), "its place");

static struct atomic_seq *seq_of(const struct sharing_state *state)
{
	return (struct atomic_seq *)(void *)&state->tails[0].last;
}

static u32 *n_of(const struct sharing_state *state)
{
	return (u32 *)&state->tails[0].half;
}

static u64 *value_of(const struct sharing_state *state, unsigned i)
{
	const union sharing_tail *tail = &state->tails[1 + i / 3];

	return (u64 *)(i % 3 == 2 ? &tail->last : &tail->words[i % 3]);
}

static const struct rmap_ids_class *class_of(const struct rmap_ids_scheme *scheme,
					     unsigned order)
{
	const struct rmap_ids_class *class = scheme->classes;

	while (class->max_order < order)
		class++;
	return class;
}

static u64 class_base(const struct rmap_ids_class *class)
{
	return BIT(class->max_order) + 1;
}

/* ---- sub-ids ------------------------------------------------------------------- */

static u64 subid_of(const struct rmap_ids_class *class, u32 id, unsigned value)
{
	u64 group = (id >> (value * class->id_bits)) & (BIT(class->id_bits) - 1);
	u64 subid = 0, digit = 1;

	for (; group != 0; group >>= 1) {
		if (group & 1)
			subid += digit;
		digit *= class_base(class);
	}
	return subid;
}

void rmap_ids_mm_init(const struct rmap_ids_scheme *scheme, struct sharing_mm *mm)
{
	for (unsigned c = 0; c < scheme->nr_classes; c++) {
		const struct rmap_ids_class *class = &scheme->classes[c];

		for (unsigned i = 0; i < class->nr_values; i++)
			mm->subids[class->first_subid + i] = subid_of(class, mm->id, i);
	}
}

/* ---- updates --------------------------------------------------------------------- */

void rmap_ids_init(struct sharing_state *state)
{
	for (unsigned i = 0; i < RMAP_IDS_MAX_VALUES; i++)
		atomic_store(value_of(state, i), UINT64_C(0));
	atomic_store(n_of(state), 0u);
	atomic_store(&seq_of(state)->word, UINT64_C(0));
}

void rmap_ids_set(const struct rmap_ids_scheme *scheme, struct sharing_state *state,
		  unsigned order, const struct sharing_mm *mm, u32 nr)
{
	const struct rmap_ids_class *class = class_of(scheme, order);

	atomic_store(n_of(state), nr);
	for (unsigned i = 0; i < class->nr_values; i++)
		atomic_store(value_of(state, i), mm->subids[class->first_subid + i] * nr);
}

/* Adds `times` sub-ids, modulo 2^64: (u64)-nr takes nr away. */
static void values_add(const struct rmap_ids_scheme *scheme, struct sharing_state *state,
		       unsigned order, const struct sharing_mm *mm, u64 times,
		       bool exclusive)
{
	const struct rmap_ids_class *class = class_of(scheme, order);
	const u64 *subids = &mm->subids[class->first_subid];

	if (exclusive && scheme->unscaled && class->nr_values == 1)
		times = 1;
	for (unsigned i = 0; i < class->nr_values; i++) {
		u64 *value = value_of(state, i);

		if (exclusive)
			atomic_store(value, atomic_load(value) + subids[i] * times);
		else
			atomic_fetch_add(value, subids[i] * times);
	}
}

static int n_add(struct sharing_state *state, u32 nr, bool exclusive)
{
	u32 n;

	if (!exclusive)
		return sharing_count_add(n_of(state), nr);
	n = atomic_load(n_of(state));
	if (unlikely((u64)n + nr > SHARING_COUNT_MAX))
		return -QUIRE_EOVERFLOW;
	atomic_store(n_of(state), n + nr);
	return 0;
}

int rmap_ids_add(const struct rmap_ids_scheme *scheme, struct sharing_state *state,
		 unsigned order, const struct sharing_mm *mm, u32 nr)
{
	bool exclusive = atomic_seq_write_begin(seq_of(state));
	int ret = n_add(state, nr, exclusive);

	if (likely(ret == 0))
		values_add(scheme, state, order, mm, nr, exclusive);
	atomic_seq_write_end(seq_of(state), exclusive);
	return ret;
}

void rmap_ids_sub(const struct rmap_ids_scheme *scheme, struct sharing_state *state,
		  unsigned order, const struct sharing_mm *mm, u32 nr)
{
	bool exclusive = atomic_seq_write_begin(seq_of(state));

	if (exclusive) {
		u32 n = atomic_load(n_of(state));

		check(n >= nr);
		atomic_store(n_of(state), n - nr);
	} else {
		sharing_count_sub(n_of(state), nr);
	}
	values_add(scheme, state, order, mm, -(u64)nr, exclusive);
	atomic_seq_write_end(seq_of(state), exclusive);
}

/* ---- queries ----------------------------------------------------------------------- */

/*
 * Does not wait: with a writer inside, or one that came meanwhile, the answer is no.
 * So n and the values did not change between the two looks at the counter, and
 * the load of the references in between is one instant with them.
 */
bool rmap_ids_all_of(const struct rmap_ids_scheme *scheme,
		     const struct sharing_state *state, unsigned order,
		     const struct sharing_mm *mm, const struct refcount *refs)
{
	const struct rmap_ids_class *class = class_of(scheme, order);
	const u64 *subids = &mm->subids[class->first_subid];
	u64 begin = atomic_seq_read_try(seq_of(state)), n, differ = 0;

	if (atomic_seq_has_writer(begin))
		return false;
	n = atomic_load(n_of(state));
	if (n == 0 || n > BIT(order))
		return false;
	for (unsigned i = 0; i < class->nr_values; i++)
		differ |= atomic_load(value_of(state, i)) ^ n * subids[i];
	if (refs != NULL)
		differ |= atomic_load_acquire(&refs->value) ^ n;
	return differ == 0 && !atomic_seq_read_retry(seq_of(state), begin);
}

/* Some digit counts some of the n mappings, and not all: two ids differ there. */
static bool digits_differ(const struct rmap_ids_class *class, u64 value, u64 n)
{
	for (unsigned i = 0; i < class->id_bits; i++) {
		u64 digit = value % class_base(class);

		if (digit != 0 && digit != n)
			return true;
		value /= class_base(class);
	}
	return value != 0;
}

/*
 * Nobody is named here, and the series has no such question; but the digits
 * can be read back.
 */
bool rmap_ids_of_several(const struct rmap_ids_scheme *scheme,
			 const struct sharing_state *state, unsigned order)
{
	const struct rmap_ids_class *class = class_of(scheme, order);
	u64 values[RMAP_IDS_MAX_VALUES], begin;
	bool differ = false;
	u32 n;

	do {
		begin = atomic_seq_read_begin(seq_of(state));
		n = atomic_load(n_of(state));
		for (unsigned i = 0; i < class->nr_values; i++)
			values[i] = atomic_load(value_of(state, i));
	} while (atomic_seq_read_retry(seq_of(state), begin));
	if (n > BIT(order))
		return true;
	for (unsigned i = 0; i < class->nr_values; i++)
		differ |= digits_differ(class, values[i], n);
	return differ;
}

u32 rmap_ids_mapcount(const struct sharing_state *state)
{
	return atomic_load(n_of(state));
}

/* ---- the repaired scheme --------------------------------------------------------------- */

/*
 *        orders   values   bits of each
 */
#define REPAIRED_LIST(X)      \
	X(2, 1, 24, 0)        \
	X(5, 2, 12, 1)        \
	X(7, 3, 8, 3)         \
	X(9, 4, 6, 6)         \
	X(10, 4, 6, 10)       \
	X(12, 5, 5, 14)       \
	X(15, 6, 4, 19)

static const struct rmap_ids_class repaired_classes[] = {
#define REPAIRED_ROW(max_order, nr_values, id_bits, first_subid) \
	{ max_order, nr_values, id_bits, first_subid },
	REPAIRED_LIST(REPAIRED_ROW)
};

/* Powers up to the 31st, in 128 bits, for the compiler alone. */
#define POW2(b) ((mach_u128)(b) * (b))
#define POW4(b) (POW2(b) * POW2(b))
#define POW8(b) (POW4(b) * POW4(b))
#define POWER(b, e)                                                    \
	(((e) & 1 ? (mach_u128)(b) : 1) * ((e) & 2 ? POW2(b) : 1) *    \
	 ((e) & 4 ? POW4(b) : 1) * ((e) & 8 ? POW8(b) : 1) *           \
	 ((e) & 16 ? POW8(b) * POW8(b) : 1))
#define REPAIRED_COVERS(max_order, nr_values, id_bits, first_subid)  \
	_Static_assert((nr_values) * (id_bits) >= RMAP_IDS_BITS,     \
		       "the values hold an id");                     \
	_Static_assert(POWER(BIT(max_order) + 1, id_bits) <=         \
		       (mach_u128)1 << 64, "the repair rule");       \
	_Static_assert((first_subid) + (nr_values) <= SHARING_SUBIDS, \
		       "the mm holds the sub-ids");
REPAIRED_LIST(REPAIRED_COVERS)

static const struct rmap_ids_scheme repaired = {
	.classes = repaired_classes,
	.nr_classes = ARRAY_LEN(repaired_classes),
};

RMAP_IDS_CALLS(repaired)

const struct sharing_ops sharing_rmap_ids = {
	.name = "rmap-ids",
	.source = "David Hildenbrand, November 2023; letter 000_fa4b51931d6963d5.txt; repaired",
	.sound = true,
	.exact = true,
	RMAP_IDS_OPS(repaired),
};
