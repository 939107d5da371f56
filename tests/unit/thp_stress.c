/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * khugepaged on a CPU of its own beside three that fault, fork, exit, collapse,
 * split, unmap and give back, every byte checked.  Each CPU writes only bytes of its
 * own, at an offset of its own in every page:
 *
 *   shared  written, collapsed and split by all, forked by all, never unmapped:
 *           a CPU reads what it wrote last, a child what its forker had written
 *   own     unmapped, given back and collapsed by one CPU alone, exact
 *
 * variants: threads_4k threads_tiny
 */
#include "dice.h"
#include "mm_world.h"
#include "threads_run.h"

enum {
	NR_WORKERS = 3,
	NR = QUIRE_TABLE_ENTRIES,
	NR_STEPS = NR > 4 ? 3000 : 60000,
	NR_PMDS = 2,
	NR_PAGES = NR_PMDS * NR,
	FAST = 16, /* pages that are looked at most of the time */
};

#define PMD QUIRE_PMD_SIZE

struct cpu {
	uint64_t random;
	unsigned nth;
	uint8_t next;
	uint8_t shared[NR_PAGES], own[NR_PAGES];
	bool own_mapped;
	unsigned nr_collapsed;
};

struct stress {
	struct cpu cpus[NR_WORKERS];
	uint32_t nr_done;       /* (A) */
};

static unsigned pick(struct cpu *cpu, unsigned n)
{
	return (unsigned)dice_roll(&cpu->random, n);
}

static unsigned pick_page(struct cpu *cpu)
{
	return pick(cpu, 8) ? pick(cpu, NR_PAGES < FAST ? NR_PAGES : FAST) :
			      pick(cpu, NR_PAGES);
}

static uint64_t own_base(const struct cpu *cpu)
{
	return BASE + (1 + cpu->nth) * NR_PMDS * PMD;
}

static uint64_t byte_addr(const struct cpu *cpu, uint64_t base, unsigned page)
{
	return base + page * PAGE + cpu->nth * 8u;
}

static uint8_t next_value(struct cpu *cpu)
{
	if (++cpu->next == 0)
		cpu->next = 1;
	return cpu->next;
}

static void write_shared(struct cpu *cpu)
{
	unsigned page = pick_page(cpu);

	cpu->shared[page] = next_value(cpu);
	put(mm, byte_addr(cpu, BASE, page), cpu->shared[page]);
	page = pick_page(cpu);
	assert_int_equal(get(mm, byte_addr(cpu, BASE, page)), cpu->shared[page]);
}

static void collapse(struct cpu *cpu, uint64_t base)
{
	uint64_t addr = base + pick(cpu, NR_PMDS) * PMD;
	int err = quire_madvise(mm, addr, PMD, QUIRE_MADV_COLLAPSE);

	/* Somebody's fault is at a page; or nothing is there. */
	cpu->nr_collapsed += err == 0;
	assert_true(err == 0 || err == -QUIRE_EAGAIN || err == -QUIRE_EINVAL ||
		    err == -QUIRE_ENOMEM);
}

static void split(struct cpu *cpu)
{
	uint64_t nr;

	if (pick(cpu, 2))
		assert_int_equal(quire_split_folios(mm, BASE + pick(cpu, NR_PMDS) * PMD, PMD, 0,
						    &nr), 0);
	else
		assert_int_equal(quire_split_deferred(q, 4, &nr), 0);
}

static void fork_and_exit(struct cpu *cpu)
{
	unsigned first = pick_page(cpu);
	struct quire_mm *child;

	if (quire_mm_fork(mm, &child) != 0)
		return;
	for (unsigned i = 0; i < 4; i++) {
		unsigned page = (first + i) % NR_PAGES;
		uint64_t addr = byte_addr(cpu, BASE, page);

		assert_int_equal(get(child, addr), cpu->shared[page]);
		if (pick(cpu, 2)) {
			put(child, addr, 255);
			assert_int_equal(get(mm, addr), cpu->shared[page]);
			assert_int_equal(get(child, addr), 255);
		}
	}
	quire_mm_put(child);
}

static void own_step(struct cpu *cpu)
{
	uint64_t base = own_base(cpu);
	unsigned page = pick_page(cpu);

	if (!cpu->own_mapped) {
		map_anon(base, NR_PAGES);
		memset(cpu->own, 0, sizeof(cpu->own));
		cpu->own_mapped = true;
	}
	switch (pick(cpu, 12)) {
	case 0:
		assert_int_equal(quire_munmap(mm, base, NR_PAGES * PAGE), 0);
		cpu->own_mapped = false;
		assert_signal(mm, byte_addr(cpu, base, page), QUIRE_TOUCH_READ,
			      QUIRE_SIGSEGV_MAPERR);
		return;
	case 1:
		assert_int_equal(quire_madvise(mm, base + page * PAGE, PAGE,
					       QUIRE_MADV_DONTNEED), 0);
		cpu->own[page] = 0;
		break;
	case 2:
		collapse(cpu, base);
		break;
	default:
		cpu->own[page] = next_value(cpu);
		put(mm, byte_addr(cpu, base, page), cpu->own[page]);
		break;
	}
	page = pick_page(cpu);
	assert_int_equal(get(mm, byte_addr(cpu, base, page)), cpu->own[page]);
}

static void work(struct cpu *cpu)
{
	for (unsigned i = 0; i < NR_STEPS; i++) {
		unsigned what = pick(cpu, 40);

		if (what < 2)
			fork_and_exit(cpu);
		else if (what < 3)
			split(cpu);
		else if (what < 5)
			collapse(cpu, BASE);
		else if (what < 18)
			own_step(cpu);
		else
			write_shared(cpu);
	}
}

static void body(void *arg, unsigned nth)
{
	struct stress *stress = arg;

	if (nth < NR_WORKERS) {
		work(&stress->cpus[nth]);
		__atomic_fetch_add(&stress->nr_done, 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&stress->nr_done, __ATOMIC_ACQUIRE) < NR_WORKERS)
		assert_int_equal(quire_khugepaged_scan(q, 2 * NR, NULL), 0);
}

static void khugepaged_beside_everything(void **state)
{
	static struct stress stress;

	(void)state;
	map_anon(BASE, NR_PAGES);
	for (unsigned nth = 0; nth < NR_WORKERS; nth++)
		stress.cpus[nth] = (struct cpu){ .nth = nth, .random = 99 * nth + 7 };
	threads_run(NR_WORKERS + 1, body, &stress);
	/* khugepaged may find every range busy; each worker collapses its own. */
	for (unsigned nth = 0; nth < NR_WORKERS; nth++)
		assert_true(stress.cpus[nth].nr_collapsed > 0);
	for (unsigned nth = 0; nth < NR_WORKERS; nth++)
		for (unsigned page = 0; page < NR_PAGES; page++)
			assert_int_equal(get(mm, byte_addr(&stress.cpus[nth], BASE, page)),
					 stress.cpus[nth].shared[page]);
}

static int setup(void **state)
{
	(void)state;
	world_config_default();
	/* What readers may still see is not free yet: room for a lot of that. */
	world_config.memory_bytes = (64u << 10) * PAGE;
	world_config.nr_cpus = 8;
	world_begin();
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(khugepaged_beside_everything, setup,
						world_teardown),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
