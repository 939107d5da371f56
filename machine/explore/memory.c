/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of the explore machine.
 *
 * Within explore_run() everything comes from one arena at a fixed address and
 * is handed out once: addresses are the same in every run, and to go back to
 * the start is one copy.  A shadow byte for each 8 bytes says live or freed;
 * every atomic, lock and walker step looks at it.  Freed memory is filled with
 * a pattern, so that plain reads see garbage (and a pointer read from it
 * faults), and is kept from reuse while the quarantine has room; the pattern
 * is looked at again when the run is over, so that plain writes are seen too.
 *
 * Outside, memory comes from the host and is really freed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "explore/world.h"

#if defined(__SANITIZE_ADDRESS__)
#define XP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define XP_ASAN 1
#endif
#endif

#ifdef XP_ASAN
void __asan_poison_memory_region(void const volatile *mem, size_t bytes);
void __asan_unpoison_memory_region(void const volatile *mem, size_t bytes);
#define asan_poison(mem, bytes) __asan_poison_memory_region(mem, bytes)
#define asan_unpoison(mem, bytes) __asan_unpoison_memory_region(mem, bytes)
#else
#define asan_poison(mem, bytes) ((void)(mem), (void)(bytes))
#define asan_unpoison(mem, bytes) ((void)(mem), (void)(bytes))
#endif

#define ARENA_ADDRESS ((void *)UINT64_C(0x200000000000))
#define GUARD_BYTES 65536u
#ifdef XP_ASAN
#define STACK_BYTES (512u << 10)
#else
#define STACK_BYTES (128u << 10)
#endif
#define BIG_BYTES 65536u /* from here on solo memory is mapped, not malloced */

struct quarantined {
	unsigned char *mem;
	size_t bytes;
};

static struct {
	/* The image: what the program's memory was after setup. */
	char *image;
	uint8_t *image_shadow;
	struct xp_state state;
	struct quarantined *list;
	size_t nr, room;
} keep;

/* ---- the arena --------------------------------------------------------------------- */

static size_t round_up(size_t v, size_t unit)
{
	return (v + unit - 1) & ~(unit - 1);
}

static void place_stacks(void)
{
	char *at = xp.arena + xp.arena_bytes + GUARD_BYTES;

	for (unsigned i = 0; i < XP_NR_FIBERS; i++) {
		xp.actors[i].stack = at;
		xp.actors[i].stack_bytes = STACK_BYTES;
		at += STACK_BYTES + GUARD_BYTES;
	}
}

static bool open_arena(void)
{
	if (mprotect(xp.arena, xp.arena_bytes, PROT_READ | PROT_WRITE))
		return false;
	for (unsigned i = 0; i < XP_NR_FIBERS; i++)
		if (mprotect(xp.actors[i].stack, STACK_BYTES, PROT_READ | PROT_WRITE))
			return false;
	return true;
}

int xp_memory_create(size_t bytes)
{
	void *mem;

	xp.arena_bytes = round_up(bytes, GUARD_BYTES);
	xp.mapped_bytes = xp.arena_bytes + GUARD_BYTES +
			  XP_NR_FIBERS * (size_t)(STACK_BYTES + GUARD_BYTES);
	/* Only wished for: where the address is taken, another one will do. */
	mem = mmap(ARENA_ADDRESS, xp.mapped_bytes, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED) {
		xp.mapped_bytes = 0;
		return -QUIRE_ENOMEM;
	}
	xp.arena = mem;
	place_stacks();
	xp.shadow = mmap(NULL, xp.arena_bytes / 8, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (xp.shadow == MAP_FAILED)
		xp.shadow = NULL;
	if (!xp.shadow || !open_arena()) {
		xp_memory_destroy();
		return -QUIRE_ENOMEM;
	}
	memset(&xp.state, 0, sizeof(xp.state));
	return 0;
}

void xp_memory_destroy(void)
{
	xp_memory_forget();
	if (xp.shadow)
		munmap(xp.shadow, xp.arena_bytes / 8);
	if (xp.mapped_bytes)
		munmap(xp.arena, xp.mapped_bytes);
	xp.shadow = NULL;
	xp.arena = NULL;
	xp.arena_bytes = 0;
	xp.mapped_bytes = 0;
	memset(&xp.state, 0, sizeof(xp.state));
}

int xp_memory_save(void)
{
	size_t used = xp.state.used;

	keep.image = malloc(used + 1);
	keep.image_shadow = malloc(used / 8 + 1);
	if (!keep.image || !keep.image_shadow) {
		xp_memory_forget();
		return -QUIRE_ENOMEM;
	}
	memcpy(keep.image, xp.arena, used);
	memcpy(keep.image_shadow, xp.shadow, used / 8);
	keep.state = xp.state;
	return 0;
}

void xp_memory_restore(void)
{
	const struct xp_state *from = &keep.state;

	memcpy(xp.arena, keep.image, from->used);
	memcpy(xp.shadow, keep.image_shadow, from->used / 8);
	xp.state.used = from->used;
	xp.state.random = from->random;
	xp.state.free_clock = from->free_clock;
	xp.state.mmus = from->mmus;
	xp.state.cost = from->cost;
	xp.state.nr_names = from->nr_names;
	/* Ranges and names are only ever added, or dropped with nr_ranges. */
	for (unsigned i = 0; i < from->nr_ranges; i++)
		xp.state.ranges[i] = from->ranges[i];
	xp.state.nr_ranges = from->nr_ranges;
	keep.nr = 0;
}

void xp_memory_forget(void)
{
	free(keep.image);
	free(keep.image_shadow);
	free(keep.list);
	memset(&keep, 0, sizeof(keep));
}

static void *arena_alloc(size_t bytes, size_t align_bytes)
{
	size_t start = round_up(xp.state.used, align_bytes < 16 ? 16 : align_bytes);
	size_t end = round_up(start + bytes, 16);

	if (bytes > xp.arena_bytes || end > xp.arena_bytes)
		return NULL;
	memset(xp.shadow + xp.state.used / 8, XP_UNTRACKED, (end - xp.state.used) / 8);
	memset(xp.arena + start, 0, end - start);
	xp.state.used = end;
	return xp.arena + start;
}

/* ---- memory of the host, solo ---------------------------------------------------------- */

static void *host_alloc(size_t bytes, size_t align_bytes)
{
	size_t slack = align_bytes > 4096 ? align_bytes : 0;
	uintptr_t start, at;
	void *mem;

	if (bytes < BIG_BYTES) {
		if (posix_memalign(&mem, align_bytes < 16 ? 16 : align_bytes, bytes))
			return NULL;
		return memset(mem, 0, bytes);
	}
	bytes = round_up(bytes, 4096);
	if (bytes + slack < bytes)
		return NULL;
	mem = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		return NULL;
	start = (uintptr_t)mem;
	at = slack ? round_up(start, align_bytes) : start;
	if (at > start)
		munmap(mem, at - start);
	if (start + slack > at)
		munmap((void *)(at + bytes), start + slack - at);
	return (void *)at;
}

static void host_free(void *mem, size_t bytes)
{
	asan_unpoison(mem, bytes);
	if (bytes < BIG_BYTES)
		free(mem);
	else
		munmap(mem, round_up(bytes, 4096));
}

static bool in_arena(const volatile void *mem)
{
	return (uint64_t)((const volatile char *)mem - xp.arena) < xp.arena_bytes;
}

/* ---- the seam ----------------------------------------------------------------------------- */

void *mach_mem_alloc(size_t bytes, size_t align_bytes)
{
	void *mem;

	if (!xp.exploring)
		return host_alloc(bytes, align_bytes);
	mem = arena_alloc(bytes, align_bytes);
	if (mem)
		mach_note_alloc(mem, bytes);
	return mem;
}

void mach_mem_free(void *mem, size_t bytes)
{
	if (!mem)
		return;
	if (in_arena(mem))
		mach_note_free(mem, bytes);
	else
		host_free(mem, bytes);
}

static bool range_add(char *base, size_t bytes)
{
	size_t nr = bytes >> QUIRE_PAGE_SHIFT;
	struct xp_range *range = &xp.state.ranges[xp.state.nr_ranges];
	struct xp_range new = { .base = base, .bytes = bytes };

	if (xp.state.nr_ranges == XP_MAX_RANGES)
		return false;
	if (xp.exploring) {
		new.generations = arena_alloc(nr * sizeof(*new.generations), 16);
		new.freed = arena_alloc(nr * sizeof(*new.freed), 16);
	} else {
		new.generations = calloc(nr + 1, sizeof(*new.generations));
		new.freed = calloc(nr + 1, sizeof(*new.freed));
	}
	if (!new.generations || !new.freed) {
		if (!xp.exploring) {
			free(new.generations);
			free(new.freed);
		}
		return false;
	}
	*range = new;
	xp.state.nr_ranges++;
	return true;
}

void *mach_phys_create(size_t bytes, size_t align_bytes)
{
	char *base = xp.exploring ? arena_alloc(bytes, align_bytes) :
				    host_alloc(bytes, align_bytes);

	if (base && !range_add(base, bytes)) {
		if (!xp.exploring)
			host_free(base, bytes);
		base = NULL;
	}
	return base;
}

void mach_phys_destroy(void *base, size_t bytes)
{
	struct xp_range *range = base ? xp_range_of(base) : NULL;

	if (!range)
		return;
	if (!in_arena(base)) {
		free(range->generations);
		free(range->freed);
		host_free(base, bytes);
	} else {
		memset(xp.shadow + ((char *)base - xp.arena) / 8, XP_FREED, bytes / 8);
	}
	*range = xp.state.ranges[--xp.state.nr_ranges];
}

struct xp_range *xp_range_of(const volatile void *mem)
{
	for (unsigned i = 0; i < xp.state.nr_ranges; i++) {
		struct xp_range *range = &xp.state.ranges[i];

		if ((uint64_t)((const volatile char *)mem - range->base) < range->bytes)
			return range;
	}
	return NULL;
}

void mach_note_alloc(void *mem, size_t bytes)
{
	if (!in_arena(mem)) {
		asan_unpoison(mem, bytes);
		return;
	}
	memset(xp.shadow + ((char *)mem - xp.arena) / 8, XP_LIVE, (bytes + 7) / 8);
	xp_did(XP_ALLOC, mem, 0, 0, bytes, false, XP_SITE);
}

/*
 * The same range was freed and not allocated since: its first 8 bytes begin a
 * freed range, no other begins in it, and it ends where that one did.
 */
static bool is_freed_already(const uint8_t *shadow, size_t granules, size_t left)
{
	if (shadow[0] != XP_FREED_FIRST)
		return false;
	for (size_t i = 1; i < granules; i++)
		if (shadow[i] != XP_FREED)
			return false;
	return granules == left || shadow[granules] != XP_FREED;
}

/* Who freed what holds `addr`: known once the run is made again to be shown. */
static void name_free(char *text, size_t bytes, const volatile void *addr)
{
	const struct xp_event *e = xp_recorded_free(addr);

	text[0] = '\0';
	if (e)
		snprintf(text, bytes, ", freed by %s%u at step %llu",
			 e->actor == xp.nr_cpus ? "rcu on cpu" : "cpu", e->actor,
			 (unsigned long long)e->step);
}

static _Noreturn void bad_free(enum explore_failure kind, const char *mem, const char *how,
			       const char *detail)
{
	char name[96];

	xp_name_address(name, sizeof(name), mem);
	xp_fail(kind, "%s: cpu%u frees %s%s", how, xp.current->index, name, detail);
}

static void check_free(const char *mem, size_t bytes)
{
	size_t offset = (size_t)(mem - xp.arena);
	char detail[64];

	if (is_freed_already(xp.shadow + offset / 8, (bytes + 7) / 8,
			     (xp.arena_bytes - offset) / 8)) {
		name_free(detail, sizeof(detail), mem);
		bad_free(EXPLORE_DOUBLE_FREE, mem, "double free", detail);
	}
	if (xp.rcu_first && xp_rcu_queued_in(mem, bytes))
		bad_free(EXPLORE_USE_AFTER_FREE, mem, "use after free",
			 ", in which an RCU callback is queued");
	for (unsigned i = 0; i <= xp.nr_cpus; i++) {
		const struct xp_actor *actor = &xp.actors[i];

		for (unsigned h = 0; h < actor->nr_held; h++) {
			const volatile char *lock = actor->held[h].lock;

			if ((uint64_t)(lock - mem) >= bytes)
				continue;
			snprintf(detail, sizeof(detail), ", in which cpu%u holds a lock", i);
			bad_free(EXPLORE_LOCK_MISUSE, mem, "a held lock", detail);
		}
	}
}

static void note_frames(char *mem, size_t bytes, const void *site)
{
	struct xp_range *range = xp_range_of(mem);
	uint64_t first, end;

	if (!range)
		return;
	first = (uint64_t)(mem - range->base + (long)QUIRE_PAGE_SIZE - 1) >> QUIRE_PAGE_SHIFT;
	end = (uint64_t)(mem - range->base + (long)bytes) >> QUIRE_PAGE_SHIFT;
	if (first >= end)
		return;
	xp.state.free_clock++;
	for (uint64_t pfn = first; pfn < end; pfn++) {
		range->generations[pfn] = xp.state.free_clock;
		range->freed[pfn] = (struct xp_freed){ (uint32_t)xp.steps,
			(uint8_t)xp.current->index, site };
	}
	xp_mmu_note_free(range->base + (first << QUIRE_PAGE_SHIFT),
			 (end - first) << QUIRE_PAGE_SHIFT);
}

static bool quarantine_push(void *mem, size_t bytes)
{
	if (xp.quarantined + bytes > xp.quarantine_bytes)
		return false;
	if (keep.nr == keep.room) {
		size_t room = keep.room ? keep.room * 2 : 64;
		struct quarantined *list = realloc(keep.list, room * sizeof(*list));

		if (!list)
			return false;
		keep.list = list;
		keep.room = room;
	}
	keep.list[keep.nr++] = (struct quarantined){ mem, bytes };
	xp.quarantined += bytes;
	return true;
}

bool mach_note_free(void *mem, size_t bytes)
{
	uint8_t *shadow;

	note_frames(mem, bytes, XP_SITE);
	if (!in_arena(mem)) {
		asan_poison(mem, bytes);
		return false;
	}
	shadow = xp.shadow + ((char *)mem - xp.arena) / 8;
	check_free(mem, bytes);
	memset(mem, XP_POISON, bytes);
	memset(shadow, XP_FREED, (bytes + 7) / 8);
	shadow[0] = XP_FREED_FIRST;
	xp_did(XP_FREE, mem, 0, 0, bytes, false, XP_SITE);
	return xp.scheduling && quarantine_push(mem, bytes);
}

void xp_memory_check_poison(void)
{
	for (size_t i = 0; i < keep.nr; i++) {
		const struct quarantined *q = &keep.list[i];

		for (size_t at = 0; at < q->bytes; at++) {
			char name[96];

			if (q->mem[at] == XP_POISON)
				continue;
			xp_name_address(name, sizeof(name), q->mem + at);
			xp_fail(EXPLORE_USE_AFTER_FREE,
				"%s was written to after it was freed (a plain store)", name);
		}
	}
}

void xp_bad_access(const volatile void *addr, size_t size, const char *what)
{
	char name[96], by[64];

	xp_name_address(name, sizeof(name), addr);
	name_free(by, sizeof(by), addr);
	xp_fail(EXPLORE_USE_AFTER_FREE, "use after free: cpu%u %s %s (%zu bytes)%s",
		xp.current->index, what, name, size, by);
}

bool mach_should_fail(void)
{
	struct xp_actor *me = xp.current;

	if (!xp.exploring || !xp.scheduling)
		return --me->fail_countdown == 0;
	me->fail_countdown--;
	return ++xp.allocations == xp.fail_nth || me->fail_countdown == 0;
}

void quire_fail_nth(uint64_t nth)
{
	xp.current->fail_countdown = nth;
	xp.current->fail_start = nth;
}

uint64_t quire_fail_seen(void)
{
	return xp.current->fail_start - xp.current->fail_countdown;
}
