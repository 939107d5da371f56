/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a process asks of its own memory by prctl: no huge pages; nothing that is both
 * writable and executable.  The answers are those of Linux 6.18, by trial.
 * variants: threads_4k threads_tiny explore_tiny
 */
#include "mm_rows.h"

#include "huge_world.h"

#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)
#define RX (QUIRE_PROT_READ | QUIRE_PROT_EXEC)
#define RWX (RW | QUIRE_PROT_EXEC)

static int collapse(struct quire_mm *where, uint64_t addr)
{
	return quire_madvise(where, addr, HUGE, QUIRE_MADV_COLLAPSE);
}

static bool faults_huge(struct quire_mm *where, uint64_t addr, bool advised)
{
	map_in(where, addr, HPAGES, RW, PRIVATE_ANON, NULL, 0);
	if (advised)
		assert_int_equal(quire_madvise(where, addr, HUGE, QUIRE_MADV_HUGEPAGE), 0);
	put(where, addr + PAGE, 1);
	return info(where, addr).leaf;
}

static void set_thp(enum quire_thp_disable mode)
{
	assert_int_equal(quire_mm_set_thp_disable(mm, mode), 0);
	assert_int_equal(stats(mm).thp_disable, mode);
}

static void no_huge_pages(void **state)
{
	uint64_t nr_collapsed;

	(void)state;
	make_leaf(BASE);
	set_thp(QUIRE_THP_DISABLED);
	/* What is there stays, but is not said to be there. */
	assert_true(info(mm, BASE).leaf);
	assert_int_equal(collapse(mm, BASE), -QUIRE_EINVAL);
	assert_false(faults_huge(mm, BASE + 2 * HUGE, true));
	assert_int_equal(stats(mm).rss_anon_pages, HPAGES + 1);
	assert_int_equal(collapse(mm, BASE + 2 * HUGE), -QUIRE_EINVAL);
	assert_int_equal(quire_khugepaged_scan(q, UINT32_MAX, &nr_collapsed), 0);
	assert_int_equal(nr_collapsed, 0);
	map_in(mm, BASE + 4 * HUGE, HPAGES, RW, SHARED_ANON, NULL, 0);
	put(mm, BASE + 4 * HUGE, 1);
	assert_int_equal(collapse(mm, BASE + 4 * HUGE), -QUIRE_EINVAL);
	set_thp(QUIRE_THP_ENABLED);
	assert_int_equal(collapse(mm, BASE + 4 * HUGE), 0);
	assert_int_equal(quire_khugepaged_scan(q, UINT32_MAX, &nr_collapsed), 0);
	assert_int_equal(nr_collapsed, 1);
	assert_true(faults_huge(mm, BASE + 6 * HUGE, true));
}

static void huge_pages_where_advised(void **state)
{
	(void)state;
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	set_thp(QUIRE_THP_ADVISED);
	assert_false(faults_huge(mm, BASE, false));
	assert_int_equal(collapse(mm, BASE), 0);
	assert_true(info(mm, BASE).leaf);
	assert_true(faults_huge(mm, BASE + 2 * HUGE, true));
	set_thp(QUIRE_THP_ENABLED);
	assert_true(faults_huge(mm, BASE + 4 * HUGE, false));
}

static void no_orders_in_between(void **state)
{
	unsigned order = QUIRE_PMD_ORDER - 1;

	(void)state;
	if (order < 2)
		return;
	assert_int_equal(quire_set_anon_folios(q, order, QUIRE_FOLIOS_ALWAYS), 0);
	set_thp(QUIRE_THP_DISABLED);
	map_anon(BASE, HPAGES);
	put(mm, BASE, 1);
	assert_int_equal(info(mm, BASE).order, 0);
	set_thp(QUIRE_THP_ENABLED);
	put(mm, BASE + HUGE / 2, 1);
	assert_int_equal(info(mm, BASE + HUGE / 2).order, order);
}

static void a_child_has_it_too(void **state)
{
	struct quire_mm *child;

	(void)state;
	set_thp(QUIRE_THP_DISABLED);
	child = fork_of(mm);
	assert_int_equal(stats(child).thp_disable, QUIRE_THP_DISABLED);
	assert_false(faults_huge(child, BASE, true));
	assert_int_equal(quire_mm_set_thp_disable(child, QUIRE_THP_ENABLED), 0);
	assert_true(faults_huge(child, BASE + 2 * HUGE, true));
	assert_int_equal(stats(mm).thp_disable, QUIRE_THP_DISABLED);
	quire_mm_put(child);
	assert_int_equal(quire_mm_set_thp_disable(mm, QUIRE_THP_ADVISED + 1), -QUIRE_EINVAL);
	assert_int_equal(quire_mm_set_thp_disable(NULL, QUIRE_THP_ENABLED), -QUIRE_EINVAL);
}

/* ---- writable or executable --------------------------------------------------------- */

/* What is mapped goes again. */
static int map(uint32_t prot, uint32_t flags)
{
	uint64_t addr;
	int ret = quire_mmap(mm, 0, PAGE, prot, flags, NULL, 0, &addr);

	return ret ? ret : quire_munmap(mm, addr, PAGE);
}

static void set_mdwe(uint32_t bits)
{
	assert_int_equal(quire_mm_set_mdwe(mm, bits), 0);
	assert_int_equal(stats(mm).mdwe, bits);
}

static void not_writable_and_executable(void **state)
{
	struct quire_limits none = { 0 };
	uint64_t addr;

	(void)state;
	map_prot(0, 4, RW);
	map_prot(4, 4, RX);
	map_prot(8, 1, RWX);
	set_mdwe(QUIRE_MDWE_REFUSE_EXEC_GAIN);
	assert_int_equal(map(RWX, ANON), -QUIRE_EACCES);
	assert_int_equal(map(QUIRE_PROT_WRITE | QUIRE_PROT_EXEC, ANON), -QUIRE_EACCES);
	assert_int_equal(map(RWX, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS), -QUIRE_EACCES);
	assert_int_equal(map(RX, ANON), 0);
	assert_int_equal(map(RW, ANON), 0);
	/* What would be replaced is still there. */
	assert_int_equal(quire_mmap(mm, at(0), PAGE, RWX, PRIVATE_ANON, NULL, 0, &addr),
			 -QUIRE_EACCES);
	EXPECT({ 0, 4, "rw-p", 0 }, { 4, 8, "r-xp", 0 }, { 8, 9, "rwxp", 0 });
	assert_int_equal(quire_mmap(mm, 0, HUGE, RWX, ANON | QUIRE_MAP_HUGETLB, NULL, 0, &addr),
			 -QUIRE_EACCES);
	assert_int_equal(quire_mmap(mm, 0, HUGE, RW, ANON | QUIRE_MAP_HUGETLB, NULL, 0, &addr),
			 -QUIRE_ENOMEM);
	/* It is asked before the limits. */
	quire_mm_set_limits(mm, &none);
	assert_int_equal(map(RWX, ANON), -QUIRE_EACCES);
	assert_int_equal(map(RW, ANON), -QUIRE_ENOMEM);
}

static void not_to_become_executable(void **state)
{
	(void)state;
	map_prot(0, 4, RW);
	map_prot(4, 4, RX);
	map_prot(8, 2, RWX);
	set_mdwe(QUIRE_MDWE_REFUSE_EXEC_GAIN);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, RX), -QUIRE_EACCES);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, R), 0);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, QUIRE_PROT_EXEC), -QUIRE_EACCES);
	assert_int_equal(quire_mprotect(mm, at(4), PAGE, RX), 0);
	assert_int_equal(quire_mprotect(mm, at(4), PAGE, RWX), -QUIRE_EACCES);
	assert_int_equal(quire_mprotect(mm, at(8), PAGE, RWX), -QUIRE_EACCES);
	assert_int_equal(quire_mprotect(mm, at(8), PAGE, RX), 0);
	assert_int_equal(quire_mprotect(mm, at(5), PAGE, RW), 0);
	/* As far as it goes. */
	assert_int_equal(quire_mprotect(mm, at(4), 2 * PAGE, RX), -QUIRE_EACCES);
	assert_int_equal(quire_mprotect(mm, at(4), 2 * PAGE, RW), 0);
	EXPECT({ 0, 1, "r--p", 0 }, { 1, 6, "rw-p", 0 }, { 6, 9, "r-xp", 0 },
		     { 9, 10, "rwxp", 0 });
}

static void it_cannot_be_taken_back(void **state)
{
	struct quire_mm *child;

	(void)state;
	assert_int_equal(quire_mm_set_mdwe(mm, 4), -QUIRE_EINVAL);
	assert_int_equal(quire_mm_set_mdwe(mm, QUIRE_MDWE_NO_INHERIT), -QUIRE_EINVAL);
	set_mdwe(0);
	set_mdwe(QUIRE_MDWE_REFUSE_EXEC_GAIN | QUIRE_MDWE_NO_INHERIT);
	set_mdwe(QUIRE_MDWE_REFUSE_EXEC_GAIN | QUIRE_MDWE_NO_INHERIT);
	assert_int_equal(quire_mm_set_mdwe(mm, QUIRE_MDWE_REFUSE_EXEC_GAIN), -QUIRE_EPERM);
	assert_int_equal(quire_mm_set_mdwe(mm, 0), -QUIRE_EPERM);
	child = fork_of(mm);
	assert_int_equal(stats(child).mdwe, 0);
	map_in(child, BASE, 1, RWX, PRIVATE_ANON, NULL, 0);
	assert_int_equal(quire_mm_set_mdwe(child, QUIRE_MDWE_REFUSE_EXEC_GAIN), 0);
	quire_mm_put(mm);
	mm = fork_of(child);
	quire_mm_put(child);
	assert_int_equal(stats(mm).mdwe, QUIRE_MDWE_REFUSE_EXEC_GAIN);
	assert_int_equal(map(RWX, ANON), -QUIRE_EACCES);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		huge_test(no_huge_pages),
		huge_test(huge_pages_where_advised),
		huge_test(no_orders_in_between),
		huge_test(a_child_has_it_too),
		world_test(not_writable_and_executable),
		world_test(not_to_become_executable),
		world_test(it_cannot_be_taken_back),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
