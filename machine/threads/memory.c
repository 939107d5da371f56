/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of the threads machine: ranges for instances.
 *
 * Small ranges come from the C library, so that an instance of a few
 * kilobytes is made in microseconds; large ones from the host's mmap, which
 * gives zeroed pages when they are first touched.  Which it was follows from
 * the size alone, so nothing has to be remembered.
 */
#define _GNU_SOURCE
#include <quire/machine.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAP_FROM_BYTES ((size_t)1 << 18)
#define HUGE_BYTES ((size_t)1 << 21) /* the host's huge page, on most hosts */

static size_t round_up(size_t v, size_t unit)
{
	return (v + unit - 1) & ~(unit - 1);
}

static void *create_small(size_t bytes, size_t align_bytes)
{
	void *mem;

	if (align_bytes < sizeof(void *))
		align_bytes = sizeof(void *);
	if (posix_memalign(&mem, align_bytes, bytes))
		return NULL;
	return memset(mem, 0, bytes);
}

/* Maps more than is asked for and gives back what lies outside the alignment. */
static void *create_large(size_t bytes, size_t align_bytes)
{
	size_t span;
	char *mem, *start;

	if (align_bytes < HUGE_BYTES)
		align_bytes = HUGE_BYTES;
	if (__builtin_add_overflow(bytes, align_bytes, &span))
		return NULL;
	mem = mmap(NULL, span, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		return NULL;
	start = (char *)round_up((size_t)mem, align_bytes);
	if (start > mem)
		munmap(mem, (size_t)(start - mem));
	if (mem + span > start + bytes)
		munmap(start + bytes, (size_t)(mem + span - (start + bytes)));
	/* Advice: without it every 4 KiB costs a fault of the host's. */
	madvise(start, bytes, MADV_HUGEPAGE);
	return start;
}

void *threads_memory_create(size_t bytes, size_t align_bytes)
{
	size_t rounded = round_up(bytes, 4096);

	if (bytes == 0 || rounded < bytes)
		return NULL;
	if (bytes < MAP_FROM_BYTES)
		return create_small(bytes, align_bytes);
	return create_large(rounded, align_bytes);
}

void threads_memory_destroy(void *base, size_t bytes)
{
	if (!base)
		return;
	/* Parts may still be marked as free (mach_note_free). */
	threads_unpoison(base, bytes);
	if (bytes < MAP_FROM_BYTES)
		free(base);
	else
		munmap(base, round_up(bytes, 4096));
}
