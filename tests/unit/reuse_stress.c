/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A family of address spaces that share large folios, one CPU in each: write,
 * fork and give the child to another CPU, which leaves what it had; pages in
 * pipes, pinned, given back, moved to another table, folios split and made
 * anew.  Each knows every byte that it must read; a pipe holds what was put
 * into it; a device sees what its address space stores.  With each kind of proof that
 * a folio may be written where it is.
 *
 * variants: threads_4k threads_tiny
 */
#include "dice.h"
#include "mm_world.h"
#include "sync/lock.h"
#include "threads_run.h"

enum {
	NR_CPUS = 3,
	ORDER = QUIRE_PMD_ORDER < 4 ? QUIRE_PMD_ORDER : 4,
	NR = 1 << ORDER,
	NR_STEPS = 6000,
};

/* Where the upper half is, or was moved to. */
#define UPPER (BASE + NR / 2 * PAGE)
#define MOVED (BASE + 8 * QUIRE_PMD_SIZE)

/* An address space and what it must hold. */
struct member {
	struct quire_mm *mm;
	bool moved;
	uint8_t pages[NR];
};

struct held {
	struct quire_pin *pin;
	unsigned page;
	uint8_t byte;
};

struct cpu {
	uint64_t random;
	uint8_t next;
	struct member self;
	struct held pipe, device;
	struct mutex lock;     /* of what others gave it */
	struct member given;   /* mm NULL: nothing */
};

static struct cpu cpus[NR_CPUS];

/* On any thread: cmocka's own assertions are for its main one. */
#define must(cond) ((cond) ? (void)0 : failed(__LINE__, #cond))

static void failed(int line, const char *what)
{
	print_error("line %d: %s\n", line, what);
	abort();
}

static unsigned pick(struct cpu *cpu, unsigned n)
{
	return (unsigned)dice_roll(&cpu->random, n);
}

static uint64_t page_addr(const struct member *m, unsigned page)
{
	if (m->moved && page >= NR / 2)
		return MOVED + (page - NR / 2) * PAGE;
	return BASE + page * PAGE;
}

static void expect_page(const struct member *m, unsigned page)
{
	must(get(m->mm, page_addr(m, page)) == m->pages[page]);
}

static void store(struct cpu *cpu, unsigned page)
{
	struct member *m = &cpu->self;

	put(m->mm, page_addr(m, page), ++cpu->next);
	m->pages[page] = cpu->next;
}

/* ---- who holds a page without mapping it ---------------------------------------------- */

static uint8_t held_byte(const struct held *held)
{
	uint8_t byte;

	must(quire_pin_read(held->pin, 0, &byte, 1) == 0);
	return byte;
}

static void let_go(struct held *held)
{
	quire_unpin(held->pin);
	held->pin = NULL;
}

static void hold(struct cpu *cpu, struct held *held, uint32_t flags)
{
	held->page = pick(cpu, NR);
	held->byte = cpu->self.pages[held->page];
	must(quire_pin_pages(cpu->self.mm, page_addr(&cpu->self, held->page), 1, flags,
			     &held->pin) == 0);
}

/* Nothing reaches a pipe later, but the stores of who filled it might: a reference
 * promises that to nobody.  So it is filled, left to others, and drained. */
static void pipe_step(struct cpu *cpu)
{
	if (cpu->pipe.pin == NULL)
		return;
	must(held_byte(&cpu->pipe) == cpu->pipe.byte);
	let_go(&cpu->pipe);
}

static void device_step(struct cpu *cpu)
{
	if (cpu->device.pin == NULL) {
		hold(cpu, &cpu->device, pick(cpu, 2) ? QUIRE_PIN_LONGTERM :
						       QUIRE_PIN_LONGTERM | QUIRE_PIN_WRITE);
		return;
	}
	store(cpu, cpu->device.page);
	must(held_byte(&cpu->device) == cpu->self.pages[cpu->device.page]);
	let_go(&cpu->device);
}

/* ---- the family -------------------------------------------------------------------------- */

static void leave(struct cpu *cpu)
{
	if (cpu->device.pin != NULL)
		let_go(&cpu->device);
	quire_mm_put(cpu->self.mm);
}

/* What it leaves behind fills its pipe: nobody of its own stores to it any more. */
static void take_step(struct cpu *cpu)
{
	struct member given;

	mutex_lock(&cpu->lock);
	given = cpu->given;
	cpu->given.mm = NULL;
	mutex_unlock(&cpu->lock);
	if (given.mm == NULL)
		return;
	pipe_step(cpu);
	if (pick(cpu, 2))
		hold(cpu, &cpu->pipe, QUIRE_PIN_GET_ONLY);
	leave(cpu);
	cpu->self = given;
}

static void give_step(struct cpu *cpu)
{
	struct cpu *other = &cpus[pick(cpu, NR_CPUS)];
	struct member child = cpu->self;

	must(quire_mm_fork(cpu->self.mm, &child.mm) == 0);
	mutex_lock(&other->lock);
	if (other->given.mm == NULL) {
		other->given = child;
		child.mm = NULL;
	}
	mutex_unlock(&other->lock);
	/* Nobody wants it: it goes at once. */
	if (child.mm != NULL)
		quire_mm_put(child.mm);
}

/* ---- what happens to the folio ------------------------------------------------------------- */

static void drop_step(struct cpu *cpu)
{
	struct member *m = &cpu->self;
	unsigned page = pick(cpu, NR);

	if (cpu->device.pin != NULL)
		return;
	must(quire_madvise(m->mm, page_addr(m, page), PAGE, QUIRE_MADV_DONTNEED) == 0);
	m->pages[page] = 0;
}

static void move_step(struct cpu *cpu)
{
	struct member *m = &cpu->self;
	uint64_t from = m->moved ? MOVED : UPPER, to = m->moved ? UPPER : MOVED, got;

	must(quire_mremap(m->mm, from, NR / 2 * PAGE, NR / 2 * PAGE,
			  QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, to, &got) == 0);
	m->moved = !m->moved;
}

static void split_step(struct cpu *cpu)
{
	uint64_t nr;

	must(quire_split_folios(cpu->self.mm, BASE, NR * PAGE, 0, &nr) == 0);
}

/* A folio again, of pages that hold 0 but for one. */
static void renew_step(struct cpu *cpu)
{
	struct member *m = &cpu->self;

	if (cpu->device.pin != NULL)
		return;
	must(quire_munmap(m->mm, BASE, NR * PAGE) == 0);
	must(quire_munmap(m->mm, MOVED, NR * PAGE) == 0);
	map_in(m->mm, BASE, NR, RW, PRIVATE_ANON, NULL, 0);
	memset(m->pages, 0, sizeof(m->pages));
	m->moved = false;
	store(cpu, pick(cpu, NR));
}

static void step(struct cpu *cpu)
{
	switch (pick(cpu, 64)) {
	case 0:
		renew_step(cpu);
		break;
	case 1:
		drop_step(cpu);
		break;
	case 2:
		move_step(cpu);
		break;
	case 3:
		split_step(cpu);
		break;
	case 4 ... 7:
		pipe_step(cpu);
		break;
	case 8 ... 11:
		device_step(cpu);
		break;
	case 12 ... 19:
		give_step(cpu);
		break;
	case 20 ... 27:
		take_step(cpu);
		break;
	case 28 ... 45:
		store(cpu, pick(cpu, NR));
		break;
	default:
		expect_page(&cpu->self, pick(cpu, NR));
	}
}

static void cpu_main(void *arg, unsigned nth)
{
	struct cpu *cpu = &cpus[nth];

	(void)arg;
	for (unsigned i = 0; i < NR_STEPS; i++)
		step(cpu);
	for (unsigned page = 0; page < NR; page++)
		expect_page(&cpu->self, page);
	pipe_step(cpu);
	leave(cpu);
}

/* ---- with each proof --------------------------------------------------------------------------- */

static void begin_cpu(unsigned nth)
{
	struct cpu *cpu = &cpus[nth];

	*cpu = (struct cpu){ .random = nth + 1, .next = (uint8_t)(80 * nth) };
	mutex_init(&cpu->lock, LOCK_RANK_leaf);
	if (nth == 0)
		cpu->self.mm = mm;
	else
		assert_int_equal(quire_mm_fork(mm, &cpu->self.mm), 0);
}

static void stress(const char *sharing, const char *proof)
{
	world_config_default();
	/* What was freed waits for a grace period. */
	world_config.memory_bytes = 65536 * PAGE;
	world_decide("sharing", sharing);
	world_decide("reuse-proof", proof);
	world_begin();
	assert_int_equal(quire_set_anon_folios(q, ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE, NR);
	for (unsigned nth = 0; nth < NR_CPUS; nth++)
		begin_cpu(nth);
	mm = NULL;
	threads_run(NR_CPUS, cpu_main, NULL);
	for (unsigned nth = 0; nth < NR_CPUS; nth++)
		if (cpus[nth].given.mm != NULL)
			quire_mm_put(cpus[nth].given.mm);
	world_end();
}

static void counting_entries(void **state)
{
	(void)state;
	stress("moments", "count-entries");
	stress("mm-ids", "entries-alone");
}

static void asking_the_rival(void **state)
{
	(void)state;
	stress("mm-ids", "rival");
	stress("rmap-ids", "rival");
	stress("moments-locked", "rival");
	stress("moments-wide", "rival");
	stress("one-word", "rival");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counting_entries),
		cmocka_unit_test(asking_the_rival),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
