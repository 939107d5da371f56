/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Quire as a library, in one page: an address space, a fork, a write that
 * copies and a write that does not.
 *
 *     cc -Iinclude -Imachine/threads/include examples/embed.c \
 *        build/release/libquire_threads_4k.a -lurcu-memb -lpthread
 */
#include <quire/quire.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NR_PAGES 256u

/* Every call returns 0 or a negative error number. */
static void must(int result, const char *what)
{
	if (result == 0)
		return;
	fprintf(stderr, "embed: %s failed: error %d\n", what, -result);
	exit(1);
}

static void tell(const char *when, struct quire_mm *mm)
{
	struct quire_mm_stats s;

	quire_mm_stats(mm, &s);
	printf("%-34s %6" PRIu64 " faults %6" PRIu64 " copies %6" PRIu64
	       " reuses %6" PRIu64 " pages resident\n",
	       when, s.faults, s.cow_copies, s.cow_reuses, s.rss_anon_pages);
}

static void write_all(struct quire_mm *mm, uint64_t addr, uint8_t value)
{
	for (unsigned i = 0; i < NR_PAGES; i++)
		must(quire_write(mm, addr + i * QUIRE_PAGE_SIZE, &value, 1, NULL), "write");
}

int main(void)
{
	struct quire_config config;
	struct quire_layout layout;
	struct quire_leaks leaks;
	struct quire *q;
	struct quire_mm *parent, *child;
	uint64_t addr;
	uint8_t seen;

	must(quire_attach(), "attach");
	quire_config_default(&config);
	config.memory_bytes = UINT64_C(64) << 20;
	must(quire_create(&config, &q), "create");
	quire_layout_default(&layout);
	must(quire_mm_create(q, &layout, &parent), "mm_create");

	must(quire_mmap(parent, 0, NR_PAGES * QUIRE_PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0, &addr),
	     "mmap");
	write_all(parent, addr, 1);
	tell("parent wrote its memory:", parent);

	must(quire_mm_fork(parent, &child), "fork");
	write_all(child, addr, 2);
	tell("child wrote after the fork:", child);
	must(quire_read(parent, addr, &seen, 1, NULL), "read");
	printf("the parent still reads %u\n", seen);

	quire_mm_put(child);
	write_all(parent, addr, 3);
	tell("parent wrote after the child's exit:", parent);

	quire_mm_put(parent);
	quire_destroy(q, &leaks);
	quire_detach();
	printf("left behind: %" PRIu64 " frames, %" PRIu64 " objects\n", leaks.nr_frames,
	       leaks.nr_objects);
	return seen == 1 && leaks.nr_frames == 0 && leaks.nr_objects == 0 ? 0 : 1;
}
