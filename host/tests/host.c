/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's traits: what is found out holds together with what can be seen
 * here, and text and value are one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/host.h"

static void nothing_is_left_open(void **state)
{
	struct host host;

	(void)state;
	host_probe(&host);
	/* What any Linux tells anybody. */
	assert_int_equal(host.trait[HOST_page_bytes], sysconf(_SC_PAGESIZE));
	assert_true(host_knows(&host, HOST_cpus) && host.trait[HOST_cpus] > 0);
	assert_true(host_knows(&host, HOST_zero_page));
	assert_true(host_knows(&host, HOST_fault_around_bytes));
	assert_true(host_knows(&host, HOST_fault_ns) && host.trait[HOST_fault_ns] > 0);
	assert_true(host_knows(&host, HOST_max_map_count));
	assert_true(host_knows(&host, HOST_mmap_min_addr));
	assert_true(host_knows(&host, HOST_lsm_min_addr));
	assert_true(host.trait[HOST_lsm_min_addr] >= host.trait[HOST_mmap_min_addr]);
	assert_true(host_knows(&host, HOST_overcommit));
	assert_true(host_knows(&host, HOST_tables_freed));
	assert_true(host_knows(&host, HOST_mremap_many));
	assert_true(host.kernel[0] != 0 && host.machine[0] != 0);
	if (host.trait[HOST_zero_page] == 0)
		assert_int_equal(host_or(&host, HOST_huge_zero_page, 0), 0);
}

/* The probe's word on the zero page against RSS, which it did not look at. */
static void the_zero_page_is_seen_in_the_resident_set(void **state)
{
	enum { PAGES = 4096 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct host host;
	volatile char *at;
	unsigned long pages[2] = { 0, 0 };

	(void)state;
	host_probe(&host);
	at = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(at != MAP_FAILED);
	madvise((void *)(uintptr_t)at, PAGES * page, MADV_NOHUGEPAGE);
	for (int after = 0; after < 2; after++) {
		FILE *file = fopen("/proc/self/statm", "re");

		assert_non_null(file);
		assert_int_equal(fscanf(file, "%*u %lu", &pages[after]), 1);
		fclose(file);
		for (size_t i = 0; after == 0 && i < PAGES; i++)
			(void)at[i * page];
	}
	munmap((void *)(uintptr_t)at, PAGES * page);
	assert_int_equal(host.trait[HOST_zero_page], pages[1] - pages[0] < PAGES / 2);
}

static void take(void *context, const char *name, const char *text)
{
	assert_true(host_set(context, name, text));
}

static void text_and_value_are_one(void **state)
{
	struct host host, back;

	(void)state;
	host_probe(&host);
	host.thp_order[4] = HOST_THP_INHERIT;
	host.shmem_order[9] = HOST_SHMEM_WITHIN_SIZE;
	host_init(&back);
	host_for_each(&host, take, &back);
	assert_memory_equal(&host.trait, &back.trait, sizeof(host.trait));
	assert_memory_equal(&host.thp_order, &back.thp_order, sizeof(host.thp_order));
	assert_memory_equal(&host.shmem_order, &back.shmem_order, sizeof(host.shmem_order));
	assert_string_equal(host.kernel, back.kernel);
	assert_string_equal(host.machine, back.machine);
}

static void what_is_no_trait_is_refused(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	assert_false(host_set(&host, "no-such-trait", "1"));
	assert_false(host_set(&host, "zero-page", "perhaps"));
	assert_false(host_set(&host, "cpus", "-1"));
	assert_false(host_set(&host, "cpus", "12x"));
	assert_false(host_set(&host, "cpus", "18446744073709551615"));
	assert_false(host_set(&host, "thp-order-16", "always"));
	assert_false(host_set(&host, "thp-order-", "always"));
	assert_false(host_set(&host, "thp-order-4", "advise"));
	for (unsigned i = 0; i < HOST_NR_TRAITS; i++)
		assert_int_equal(host.trait[i], HOST_UNKNOWN);
}

static void inherit_asks_the_setting_for_all(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host.trait[HOST_thp] = HOST_THP_ALWAYS;
	host.thp_order[2] = HOST_THP_NEVER;
	host.thp_order[9] = HOST_THP_INHERIT;
	assert_int_equal(host_thp_of_order(&host, 2), HOST_THP_NEVER);
	assert_int_equal(host_thp_of_order(&host, 9), HOST_THP_ALWAYS);
	assert_int_equal(host_thp_of_order(&host, 3), HOST_UNKNOWN);
	assert_int_equal(host_thp_of_order(&host, 99), HOST_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_left_open),
		cmocka_unit_test(the_zero_page_is_seen_in_the_resident_set),
		cmocka_unit_test(text_and_value_are_one),
		cmocka_unit_test(what_is_no_trait_is_refused),
		cmocka_unit_test(inherit_asks_the_setting_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
