/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several CPUs in one address space with PMD leaves: each page has one CPU that
 * writes, drops and protects it, and knows what it reads; all fork, split,
 * collapse, and move a range that nobody owns.
 *
 * variants: threads_4k threads_tiny
 */
#include "dice.h"
#include "huge_world.h"
#include "threads_run.h"

enum { NR_CPUS = 3, NR_RANGES = 2, NR_STEPS = 4000, PER_RANGE = 6 };

/* Two places for the range that is moved to and fro. */
#define CHAOS (BASE + 2 * HUGE)
#define CHAOS_OTHER (BASE + 3 * HUGE)

struct cpu {
	uint64_t random;
	unsigned nth;
	uint8_t next;
	uint8_t byte[NR_RANGES * PER_RANGE]; /* of the pages it owns */
};

static unsigned pick(struct cpu *cpu, unsigned n)
{
	return (unsigned)dice_roll(&cpu->random, n);
}

static uint8_t next_value(struct cpu *cpu)
{
	if (++cpu->next == 0)
		cpu->next = 1;
	return cpu->next;
}

/* Page `i` of those that are owned, some at each end of a range. */
static uint64_t page_addr(unsigned i)
{
	uint64_t in_range = i % PER_RANGE, nr = HPAGES < PER_RANGE ? HPAGES : PER_RANGE;

	if (in_range >= nr / 2)
		in_range = HPAGES - nr + in_range;
	return BASE + i / PER_RANGE * HUGE + in_range * PAGE;
}

/* One of its own. */
static unsigned pick_own(struct cpu *cpu)
{
	for (;;) {
		unsigned i = pick(cpu, NR_RANGES * PER_RANGE);

		if (i % NR_CPUS == cpu->nth && i % PER_RANGE < HPAGES)
			return i;
	}
}

static void write_step(struct cpu *cpu)
{
	unsigned i = pick_own(cpu);

	cpu->byte[i] = next_value(cpu);
	put(mm, page_addr(i), cpu->byte[i]);
	i = pick_own(cpu);
	assert_int_equal(get(mm, page_addr(i)), cpu->byte[i]);
}

static void drop_step(struct cpu *cpu)
{
	unsigned i = pick_own(cpu);

	assert_int_equal(quire_madvise(mm, page_addr(i), PAGE, QUIRE_MADV_DONTNEED), 0);
	cpu->byte[i] = 0;
	assert_int_equal(get(mm, page_addr(i)), 0);
}

static void protect_step(struct cpu *cpu)
{
	unsigned i = pick_own(cpu);

	assert_int_equal(quire_mprotect(mm, page_addr(i), PAGE, QUIRE_PROT_READ), 0);
	assert_signal(mm, page_addr(i), QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
	assert_int_equal(get(mm, page_addr(i)), cpu->byte[i]);
	assert_int_equal(quire_mprotect(mm, page_addr(i), PAGE, RW), 0);
}

/* The child has what was there at the time, and keeps it. */
static void fork_step(struct cpu *cpu)
{
	unsigned a = pick_own(cpu), b = pick_own(cpu);
	uint8_t before = cpu->byte[a];
	struct quire_mm *child;

	if (quire_mm_fork(mm, &child) != 0)
		return;
	cpu->byte[a] = next_value(cpu);
	put(mm, page_addr(a), cpu->byte[a]);
	assert_int_equal(get(child, page_addr(a)), before);
	put(child, page_addr(b), 255);
	assert_int_equal(get(mm, page_addr(b)), cpu->byte[b]);
	quire_mm_put(child);
}

static void fold_step(struct cpu *cpu)
{
	uint64_t addr = BASE + pick(cpu, NR_RANGES) * HUGE, nr;

	switch (pick(cpu, 4)) {
	case 0:
		assert_int_equal(quire_split_folios(mm, addr, HUGE, 0, &nr), 0);
		break;
	case 1:
		assert_int_equal(quire_split_deferred(q, 4, &nr), 0);
		break;
	case 2:
		quire_khugepaged_scan(q, 2 * HPAGES, &nr);
		break;
	default:
		/* Somebody holds a page, or dropped them all. */
		quire_madvise(mm, addr, HUGE, QUIRE_MADV_COLLAPSE);
	}
}

/* Nobody knows what is there; it must only hold together. */
static void chaos_step(struct cpu *cpu)
{
	uint64_t addr = pick(cpu, 2) ? CHAOS : CHAOS_OTHER, got;
	uint64_t page = addr + pick(cpu, (unsigned)HPAGES) * PAGE;

	switch (pick(cpu, 6)) {
	case 0:
		quire_mmap(mm, addr, HUGE, RW, PRIVATE_ANON, NULL, 0, &got);
		quire_madvise(mm, addr, HUGE, QUIRE_MADV_HUGEPAGE);
		break;
	case 1:
		quire_munmap(mm, page, PAGE);
		break;
	case 2:
		quire_mremap(mm, CHAOS, HUGE, HUGE, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
			     CHAOS_OTHER, &got);
		break;
	case 3:
		quire_mremap(mm, CHAOS_OTHER, HUGE, HUGE,
			     QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, CHAOS, &got);
		break;
	default:
		quire_touch(mm, page, QUIRE_TOUCH_WRITE, NULL);
	}
}

static void cpu_main(void *arg, unsigned nth)
{
	struct cpu cpu = { .random = nth + 1, .nth = nth };

	(void)arg;
	for (unsigned step = 0; step < NR_STEPS; step++) {
		switch (pick(&cpu, 16)) {
		case 0:
			fork_step(&cpu);
			break;
		case 1:
			protect_step(&cpu);
			break;
		case 2: case 3:
			drop_step(&cpu);
			break;
		case 4:
			fold_step(&cpu);
			break;
		case 5: case 6: case 7:
			chaos_step(&cpu);
			break;
		default:
			write_step(&cpu);
		}
	}
}

static void stress(const char *row, const char *alternative)
{
	world_config_default();
	/* What readers may still see is not free yet: room for a lot of that. */
	world_config.memory_bytes = 64 * HUGE + 16384 * PAGE;
	world_config.overcommit = QUIRE_OVERCOMMIT_ALWAYS;
	world_decide(row, alternative);
	world_begin();
	map_huge(BASE, NR_RANGES);
	threads_run(NR_CPUS, cpu_main, NULL);
	quire_check(q);
	world_end();
}

static void moments(void **state)
{
	(void)state;
	stress("sharing", "moments");
}

static void mm_ids(void **state)
{
	(void)state;
	stress("sharing", "mm-ids");
}

static void one_word(void **state)
{
	(void)state;
	stress("sharing", "one-word");
}

static void counts_per_page(void **state)
{
	(void)state;
	stress("deferred-split", "subpage-counts");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moments),
		cmocka_unit_test(mm_ids),
		cmocka_unit_test(one_word),
		cmocka_unit_test(counts_per_page),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
