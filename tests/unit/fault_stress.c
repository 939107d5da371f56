/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several CPUs in one address space: faults, forks, unmaps and protects at
 * once, every byte checked.  Each CPU writes only bytes of its own, at an
 * offset of its own in every page:
 *
 *   own     mapped, protected, moved and unmapped by one CPU alone: exact
 *   shared  written by all, forked by all, never unmapped: exact; a child sees
 *           what its forker had written
 *   chaos   mapped, unmapped, protected and dropped by all: a byte is 0 or what
 *           its CPU last wrote there
 *
 * variants: threads_4k threads_tiny
 */
#include "dice.h"
#include "mm_world.h"
#include "threads_run.h"

enum { NR_CPUS = 3, NR_STEPS = 8000, AREA_PAGES = 6 };

struct cpu {
	uint64_t random;
	unsigned nth;
	uint8_t next;                   /* value to write */
	uint8_t own[AREA_PAGES], shared[AREA_PAGES], chaos[AREA_PAGES];
	bool own_mapped;
};

static unsigned pick(struct cpu *cpu, unsigned n)
{
	return (unsigned)dice_roll(&cpu->random, n);
}

static uint64_t own_base(const struct cpu *cpu)
{
	return BASE + (cpu->nth + 2u) * 8 * PAGE;
}

#define SHARED_BASE BASE
#define CHAOS_BASE (BASE + 8 * PAGE)

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

static void own_step(struct cpu *cpu)
{
	unsigned page = pick(cpu, AREA_PAGES);
	uint64_t addr = byte_addr(cpu, own_base(cpu), page);

	if (!cpu->own_mapped) {
		map_anon(own_base(cpu), AREA_PAGES);
		memset(cpu->own, 0, sizeof(cpu->own));
		cpu->own_mapped = true;
	}
	switch (pick(cpu, 8)) {
	case 0:
		assert_int_equal(quire_munmap(mm, own_base(cpu), AREA_PAGES * PAGE), 0);
		cpu->own_mapped = false;
		assert_signal(mm, addr, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_MAPERR);
		return;
	case 1:
		assert_int_equal(quire_mprotect(mm, own_base(cpu), AREA_PAGES * PAGE,
						QUIRE_PROT_READ), 0);
		assert_signal(mm, addr, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
		assert_int_equal(quire_mprotect(mm, own_base(cpu), AREA_PAGES * PAGE, RW), 0);
		break;
	case 2:
		assert_int_equal(quire_madvise(mm, own_base(cpu) + page * PAGE, PAGE,
					       QUIRE_MADV_DONTNEED), 0);
		cpu->own[page] = 0;
		break;
	default:
		cpu->own[page] = next_value(cpu);
		put(mm, addr, cpu->own[page]);
	}
	page = pick(cpu, AREA_PAGES);
	assert_int_equal(get(mm, byte_addr(cpu, own_base(cpu), page)), cpu->own[page]);
}

static void shared_step(struct cpu *cpu)
{
	unsigned page = pick(cpu, AREA_PAGES);

	cpu->shared[page] = next_value(cpu);
	put(mm, byte_addr(cpu, SHARED_BASE, page), cpu->shared[page]);
	page = pick(cpu, AREA_PAGES);
	assert_int_equal(get(mm, byte_addr(cpu, SHARED_BASE, page)), cpu->shared[page]);
}

static void fork_step(struct cpu *cpu)
{
	struct quire_mm *child;

	if (quire_mm_fork(mm, &child) != 0)
		return;
	for (unsigned page = 0; page < AREA_PAGES; page++) {
		uint64_t addr = byte_addr(cpu, SHARED_BASE, page);

		assert_int_equal(get(child, addr), cpu->shared[page]);
		if (pick(cpu, 2))
			put(child, addr, 255);
		if (pick(cpu, 2)) {
			cpu->shared[page] = next_value(cpu);
			put(mm, addr, cpu->shared[page]);
		}
		assert_int_equal(get(mm, addr), cpu->shared[page]);
	}
	quire_mm_put(child);
}

static void chaos_step(struct cpu *cpu)
{
	unsigned page = pick(cpu, AREA_PAGES), nr = 1 + pick(cpu, AREA_PAGES - page);
	uint64_t addr = CHAOS_BASE + page * PAGE;
	uint8_t byte, value;

	switch (pick(cpu, 6)) {
	case 0:
		assert_int_equal(quire_munmap(mm, addr, nr * PAGE), 0);
		break;
	case 1:
		map_in(mm, addr, nr, RW, PRIVATE_ANON, NULL, 0);
		break;
	case 2:
		quire_mprotect(mm, addr, nr * PAGE, pick(cpu, 2) ? RW : QUIRE_PROT_READ);
		break;
	case 3:
		quire_madvise(mm, addr, nr * PAGE, QUIRE_MADV_DONTNEED);
		break;
	case 4:
		value = next_value(cpu);
		if (quire_write(mm, byte_addr(cpu, CHAOS_BASE, page), &value, 1, NULL) == 0)
			cpu->chaos[page] = value;
		break;
	default:
		if (quire_read(mm, byte_addr(cpu, CHAOS_BASE, page), &byte, 1, NULL) == 0)
			assert_true(byte == 0 || byte == cpu->chaos[page]);
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
		case 1: case 2: case 3: case 4: case 5:
			chaos_step(&cpu);
			break;
		case 6: case 7: case 8: case 9: case 10:
			own_step(&cpu);
			break;
		default:
			shared_step(&cpu);
		}
	}
}

static void stress(const char *tree)
{
	world_config_default();
	/* What readers may still see is not free yet: room for a lot of that. */
	world_config.memory_bytes = (64u << 10) * PAGE;
	world_decide("fork-tree", tree);
	world_begin();
	map_anon(SHARED_BASE, AREA_PAGES);
	threads_run(NR_CPUS, cpu_main, NULL);
	world_end();
}

static void tree_duplicated(void **state)
{
	(void)state;
	stress("dup");
}

static void tree_stored(void **state)
{
	(void)state;
	stress("bulk-store");
	stress("insert-each");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tree_duplicated),
		cmocka_unit_test(tree_stored),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
