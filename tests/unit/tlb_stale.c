/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What another CPU's TLB remembers must not outlive what it stood for.  A
 * second CPU does single accesses when it is told to, so that its TLB holds
 * what the first CPU then changes.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include <stdlib.h>

#include "mm_world.h"

#include <pthread.h>
#include <semaphore.h>

/* ---- the other CPU ------------------------------------------------------------ */

struct request {
	uint64_t addr;
	enum quire_touch kind;
	uint8_t byte; /* written, or read */
	int err;
	bool end;
};

static struct request request;
static sem_t asked, answered;

static void *other_cpu(void *arg)
{
	(void)arg;
	if (quire_attach())
		abort();
	for (;;) {
		sem_wait(&asked);
		if (request.end)
			break;
		request.err = request.kind == QUIRE_TOUCH_WRITE ?
				      quire_write(mm, request.addr, &request.byte, 1, NULL) :
				      quire_read(mm, request.addr, &request.byte, 1, NULL);
		sem_post(&answered);
	}
	quire_detach();
	return NULL;
}

static int other(uint64_t addr, enum quire_touch kind, uint8_t *byte)
{
	request = (struct request){ .addr = addr, .kind = kind, .byte = *byte };
	sem_post(&asked);
	sem_wait(&answered);
	*byte = request.byte;
	return request.err;
}

static uint8_t other_get(uint64_t addr)
{
	uint8_t byte = 0;

	assert_int_equal(other(addr, QUIRE_TOUCH_READ, &byte), 0);
	return byte;
}

static void other_put(uint64_t addr, uint8_t byte)
{
	assert_int_equal(other(addr, QUIRE_TOUCH_WRITE, &byte), 0);
}

static void assert_other_may_not(uint64_t addr, enum quire_touch kind)
{
	uint8_t byte = 0;

	assert_int_equal(other(addr, kind, &byte), -QUIRE_EFAULT);
}

static pthread_t other_thread;

static int stale_setup(void **state)
{
	world_setup(state);
	sem_init(&asked, 0, 0);
	sem_init(&answered, 0, 0);
	return pthread_create(&other_thread, NULL, other_cpu, NULL);
}

static int stale_teardown(void **state)
{
	request = (struct request){ .end = true };
	sem_post(&asked);
	pthread_join(other_thread, NULL);
	return world_teardown(state);
}

/* ---- what changes under it ------------------------------------------------------- */

static void zero_page_replaced(void **state)
{
	(void)state;
	map_anon(BASE, 1);
	assert_int_equal(other_get(BASE), 0);
	put(mm, BASE, 1);
	assert_int_equal(other_get(BASE), 1);
}

static void copy_replaces_the_page(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_anon(BASE, 1);
	put(mm, BASE, 1);
	child = fork_of(mm);
	assert_int_equal(other_get(BASE), 1);
	put(mm, BASE, 2);
	assert_int_equal(other_get(BASE), 2);
	assert_int_equal(get(child, BASE), 1);
	quire_mm_put(child);
}

/* Fork: the other CPU could write, and now has to ask. */
static void fork_takes_away_writing(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_anon(BASE, 1);
	other_put(BASE, 1);
	child = fork_of(mm);
	other_put(BASE, 2);
	assert_int_equal(get(child, BASE), 1);
	quire_mm_put(child);
}

static void unmapped_and_dropped(void **state)
{
	(void)state;
	map_anon(BASE, 2);
	other_put(BASE, 1);
	other_put(BASE + PAGE, 2);
	assert_int_equal(quire_madvise(mm, BASE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(other_get(BASE), 0);
	assert_int_equal(quire_munmap(mm, BASE, 2 * PAGE), 0);
	assert_other_may_not(BASE, QUIRE_TOUCH_READ);
	assert_other_may_not(BASE + PAGE, QUIRE_TOUCH_WRITE);
}

static void protected(void **state)
{
	(void)state;
	map_anon(BASE, 1);
	other_put(BASE, 1);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_READ), 0);
	assert_other_may_not(BASE, QUIRE_TOUCH_WRITE);
	assert_int_equal(other_get(BASE), 1);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_NONE), 0);
	assert_other_may_not(BASE, QUIRE_TOUCH_READ);
}

/* The pages move away; what was their place is empty memory. */
static void moved_away(void **state)
{
	uint64_t to = BASE + QUIRE_PMD_SIZE, got;

	(void)state;
	map_anon(BASE, 1);
	other_put(BASE, 1);
	assert_int_equal(quire_mremap(mm, BASE, PAGE, PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED |
					      QUIRE_MREMAP_DONTUNMAP,
				      to, &got),
			 0);
	other_put(BASE, 2);
	assert_int_equal(get(mm, to), 1);
	assert_int_equal(get(mm, BASE), 2);
}

static void truncated(void **state)
{
	struct quire_file_config config = {
		.kind = QUIRE_FILE_MEMORY,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = 2 * PAGE,
	};
	struct quire_file *file;

	(void)state;
	assert_int_equal(quire_file_create(q, &config, &file), 0);
	map_in(mm, BASE, 2, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	other_put(BASE, 1);
	other_put(BASE + PAGE, 2);
	assert_int_equal(quire_file_punch(file, 0, PAGE), 0);
	assert_int_equal(other_get(BASE), 0);
	assert_int_equal(quire_file_truncate(file, PAGE), 0);
	assert_other_may_not(BASE + PAGE, QUIRE_TOUCH_READ);
	quire_file_put(file);
}

#define stale_test(name) cmocka_unit_test_setup_teardown(name, stale_setup, stale_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		stale_test(zero_page_replaced),
		stale_test(copy_replaces_the_page),
		stale_test(fork_takes_away_writing),
		stale_test(unmapped_and_dropped),
		stale_test(protected),
		stale_test(moved_away),
		stale_test(truncated),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
