/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames and folios: the buddy allocator against a plain map of who owns
 * which frame, the lists per CPU, splitting, and running out of memory.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/machine.h>
#include <quire/testing.h>

#include "base/bits.h"
#include "phys/phys.h"
#include "attached.h"

static u64 random_below(u64 n)
{
	return mach_random() % n;
}

static void *byte_of(struct phys *phys, struct folio *folio, u64 page)
{
	return (char *)folio_bytes(phys, folio) + page * PAGE_SIZE;
}

static void starts_with_everything_free(void **state)
{
	struct phys phys;

	(void)state;
	for (u64 nr = 2; nr < 200; nr += 7) {
		assert_int_equal(phys_init(&phys, nr, 3), 0);
		phys_check(&phys);
		assert_int_equal(phys_nr_free(&phys), nr - 1);
		assert_int_equal(phys_fini(&phys), 0);
	}
}

static void refuses_bad_arguments(void **state)
{
	struct phys phys;

	(void)state;
	assert_int_equal(phys_init(&phys, 1, 1), -QUIRE_EINVAL);
	assert_int_equal(phys_init(&phys, 16, 0), -QUIRE_EINVAL);
	assert_int_equal(phys_init(&phys, 16, MACH_MAX_CPUS + 1), -QUIRE_EINVAL);
	assert_int_equal(phys_init(&phys, UINT64_MAX, 1), -QUIRE_EINVAL);
	assert_int_equal(phys_init(&phys, 16, 1), 0);
	assert_null(folio_alloc(&phys, QUIRE_MAX_ORDER + 1, 0));
	assert_null(folio_alloc(&phys, QUIRE_MAX_ORDER, 0));
	assert_int_equal(phys_fini(&phys), 0);
}

static void hands_out_clean_descriptors(void **state)
{
	struct phys phys;
	struct folio *folio;

	(void)state;
	assert_int_equal(phys_init(&phys, 64, 1), 0);
	for (unsigned order = 0; order <= 3; order++) {
		for (unsigned round = 0; round < 2; round++) {
			folio = folio_alloc(&phys, order, ALLOC_ZERO);
			assert_non_null(folio);
			assert_int_equal(folio_order(folio), order);
			assert_int_equal(folio->flags, 0);
			assert_int_equal(refcount_read(&folio->refs), 1);
			assert_int_equal(folio->mapcount, 0);
			assert_null(folio->mapping);
			assert_int_equal(folio->index, 0);
			assert_int_equal(folio->private, 0);
			assert_true(list_empty(&folio->lru));
			assert_true(is_aligned(folio_pfn(&phys, folio).v, BIT(order)));
			assert_true(is_aligned((uintptr_t)folio_bytes(&phys, folio),
					       PAGE_SIZE << order));
			for (u64 i = 0; i < folio_nr_pages(folio); i++)
				assert_ptr_equal(frame_folio(folio_frame(folio, i)), folio);
			for (u64 i = 0; i < PAGE_SIZE << order; i++)
				assert_int_equal(((u8 *)folio_bytes(&phys, folio))[i], 0);
			if (order) {
				assert_int_equal(folio_large(folio)->nr_pages_mapped, 0);
				assert_int_equal(folio_large(folio)->pincount, 0);
			}
			/* Dirty all of it for the next round. */
			memset(folio_bytes(&phys, folio), 0xa5, PAGE_SIZE << order);
			folio_set(folio, FRAME_DIRTY);
			folio->mapping = &phys;
			folio->index = folio->private = 77;
			folio_put(&phys, folio);
		}
	}
	phys_check(&phys);
	assert_int_equal(phys_fini(&phys), 0);
}

static void counts_references(void **state)
{
	struct phys phys;
	struct folio *folio, *many[5];

	(void)state;
	assert_int_equal(phys_init(&phys, 64, 1), 0);
	folio = folio_alloc(&phys, 1, 0);
	folio_get(folio);
	folio_put(&phys, folio);
	assert_int_equal(phys_nr_free(&phys), 61);
	folio_get(folio);
	folio_get(folio);
	folio_put_n(&phys, folio, 3);
	assert_int_equal(phys_nr_free(&phys), 63);

	for (unsigned i = 0; i < 5; i++)
		many[i] = folio_alloc(&phys, i & 1, 0);
	folio_get(many[2]);
	folio_put_many(&phys, many, 5);
	assert_int_equal(phys_nr_free(&phys), 62);
	folio_put(&phys, many[2]);
	phys_check(&phys);
	assert_int_equal(phys_fini(&phys), 0);
}

static void says_what_leaked(void **state)
{
	struct phys phys;

	(void)state;
	assert_int_equal(phys_init(&phys, 64, 1), 0);
	assert_non_null(folio_alloc(&phys, 0, 0));
	assert_non_null(folio_alloc(&phys, 2, 0));
	assert_int_equal(phys_fini(&phys), 5);
}

/* All of memory can be had as single frames, and comes back as large blocks. */
static void uses_every_frame(void **state)
{
	enum { NR = 1000 };
	static struct folio *folios[NR];
	struct phys phys;

	(void)state;
	assert_int_equal(phys_init(&phys, NR, 1), 0);
	for (unsigned i = 0; i < NR - 1; i++) {
		folios[i] = folio_alloc(&phys, 0, 0);
		assert_non_null(folios[i]);
		assert_int_not_equal(folio_pfn(&phys, folios[i]).v, 0);
	}
	assert_null(folio_alloc(&phys, 0, 0));
	phys_check(&phys);
	for (unsigned i = 0; i < NR - 1; i++)
		folio_put(&phys, folios[(i * 7) % (NR - 1)]);
	phys_drain_cpu(&phys);
	phys_check(&phys);
	for (unsigned order = 0; order < 9; order++)
		assert_true(phys.nr_free_by_order[order] <= 2);
	assert_int_equal(phys_fini(&phys), 0);
}

/* What lies on this CPU's list does not make a large allocation fail. */
static void drains_its_list_for_a_large_folio(void **state)
{
	enum { NR = 1024 };
	static struct folio *folios[NR];
	struct phys phys;
	struct folio *large;

	(void)state;
	assert_int_equal(phys_init(&phys, NR, 1), 0);
	for (unsigned i = 0; i < NR - 1; i++)
		folios[i] = folio_alloc(&phys, 0, 0);
	for (unsigned i = 0; i < NR - 1; i++) {
		u64 pfn = folio_pfn(&phys, folios[i]).v;

		if (pfn >= 16 && pfn < 24)
			folio_put(&phys, folios[i]);
	}
	large = folio_alloc(&phys, 3, 0);
	assert_non_null(large);
	assert_int_equal(folio_pfn(&phys, large).v, 16);
	folio_put(&phys, large);
	phys_check(&phys);
	assert_int_equal(phys_fini(&phys), NR - 1 - 8);
}

static void splits_folios(void **state)
{
	struct phys phys;
	struct folio *folio;
	int mapping;

	(void)state;
	assert_int_equal(phys_init(&phys, 64, 1), 0);
	for (unsigned order = 0; order < 4; order++) {
		folio = folio_alloc(&phys, 4, 0);
		folio_set(folio, FRAME_SWAPBACKED);
		folio_set(folio, FRAME_DIRTY);
		folio->mapping = &mapping;
		folio->index = 100;
		folio_lock(folio);
		assert_true(refcount_freeze(&folio->refs, 1));
		folio_split_frames(&phys, folio, order, 2);
		folio_unlock(folio);
		for (u64 i = 0; i < 16; i++) {
			struct frame *frame = folio_frame(folio, i);
			struct folio *part = frame_folio(frame);
			u64 first = align_down(i, BIT(order));

			assert_ptr_equal(part, folio_frame(folio, first));
			assert_int_equal(folio_order(part), order);
			assert_ptr_equal(part->mapping, &mapping);
			assert_int_equal(part->index, 100 + first);
			assert_int_equal(refcount_read(&part->refs), 2);
			assert_true(folio_test(part, FRAME_DIRTY));
		}
		for (u64 i = 0; i < 16; i += BIT(order)) {
			struct folio *part = (struct folio *)(void *)folio_frame(folio, i);

			folio_lock(part); /* would hang if the split had left it locked */
			folio_unlock(part);
			folio_put_n(&phys, part, 2);
		}
		phys_drain_cpu(&phys);
		phys_check(&phys);
		assert_int_equal(phys_nr_free(&phys), 63);
	}
	assert_int_equal(phys_fini(&phys), 0);
}

static void fails_when_told_to(void **state)
{
	struct phys phys;
	struct folio *folio;

	(void)state;
	for (u64 nth = 1; nth <= 3; nth++) {
		quire_fail_nth(nth);
		assert_int_equal(phys_init(&phys, 64, 1), -QUIRE_ENOMEM);
		quire_fail_nth(0);
	}
	assert_int_equal(phys_init(&phys, 64, 1), 0);
	quire_fail_nth(3);
	for (unsigned i = 1; i <= 5; i++) {
		folio = folio_alloc(&phys, i & 1, 0);
		assert_int_equal(folio == NULL, i == 3);
		if (folio)
			folio_put(&phys, folio);
	}
	assert_int_equal(quire_fail_seen(), 5);
	quire_fail_nth(0);
	assert_int_equal(phys_fini(&phys), 0);
}

/* ---- random operations against a map of owners -------------------------------- */

enum { MODEL_FRAMES = 700, MODEL_FOLIOS = 200 };

struct model {
	struct phys phys;
	u32 owner[MODEL_FRAMES]; /* 0: free; else number of the folio, from 1 */
	struct folio *folios[MODEL_FOLIOS + 1];
	unsigned orders[MODEL_FOLIOS + 1];
	u64 nr_used;
};

static void model_alloc(struct model *m, u32 n)
{
	unsigned order = (unsigned)random_below(random_below(2) ? 2 : 7);
	struct folio *folio = folio_alloc(&m->phys, order, 0);
	u64 pfn;

	if (!folio) {
		/* A single frame is only refused when none is left. */
		assert_true(order > 0 || m->nr_used == MODEL_FRAMES - 1);
		return;
	}
	pfn = folio_pfn(&m->phys, folio).v;
	assert_true(pfn > 0 && pfn + BIT(order) <= MODEL_FRAMES);
	for (u64 i = 0; i < BIT(order); i++) {
		assert_int_equal(m->owner[pfn + i], 0);
		m->owner[pfn + i] = n;
		memcpy(byte_of(&m->phys, folio, i), &n, sizeof(n));
	}
	m->folios[n] = folio;
	m->orders[n] = order;
	m->nr_used += BIT(order);
}

static void model_free(struct model *m, u32 n)
{
	struct folio *folio = m->folios[n];
	u64 pfn = folio_pfn(&m->phys, folio).v;

	for (u64 i = 0; i < BIT(m->orders[n]); i++) {
		assert_int_equal(m->owner[pfn + i], n);
		assert_memory_equal(byte_of(&m->phys, folio, i), &n, sizeof(n));
		m->owner[pfn + i] = 0;
	}
	m->nr_used -= BIT(m->orders[n]);
	m->folios[n] = NULL;
	folio_put(&m->phys, folio);
}

static void equals_a_map_of_owners(void **state)
{
	static struct model m;

	(void)state;
	assert_int_equal(phys_init(&m.phys, MODEL_FRAMES, 2), 0);
	for (unsigned step = 0; step < 100000; step++) {
		u32 n = 1 + (u32)random_below(MODEL_FOLIOS);

		if (m.folios[n])
			model_free(&m, n);
		else
			model_alloc(&m, n);
		assert_int_equal(phys_nr_free(&m.phys), MODEL_FRAMES - 1 - m.nr_used);
		if (step % 64 == 0)
			phys_check(&m.phys);
		if (step % 1000 == 0)
			phys_drain_cpu(&m.phys);
	}
	for (u32 n = 1; n <= MODEL_FOLIOS; n++)
		if (m.folios[n])
			model_free(&m, n);
	phys_check(&m.phys);
	assert_int_equal(phys_fini(&m.phys), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_with_everything_free),
		cmocka_unit_test(refuses_bad_arguments),
		cmocka_unit_test(hands_out_clean_descriptors),
		cmocka_unit_test(counts_references),
		cmocka_unit_test(says_what_leaked),
		cmocka_unit_test(uses_every_frame),
		cmocka_unit_test(drains_its_list_for_a_large_folio),
		cmocka_unit_test(splits_folios),
		cmocka_unit_test(fails_when_told_to),
		cmocka_unit_test(equals_a_map_of_owners),
	};

	return cmocka_run_group_tests(tests, attach, detach);
}
