/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults on files: shared and private, memory-backed and host-backed, with
 * fault-around, write notification, truncation and writeback.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 */
#include "file/file.h" /* before the world, whose `mm` it would shadow */
#include "mm_world.h"

enum { FILE_PAGES = 20 };

/* What the host keeps: page i is filled with i + 1. */
struct host {
	uint8_t bytes[FILE_PAGES * QUIRE_PAGE_SIZE];
	unsigned nr_reads, nr_writes;
	bool broken;
};

static struct host host;

static int host_read(void *context, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct host *h = context;

	h->nr_reads++;
	memset(buf, 0, len_bytes);
	if (offset < sizeof(h->bytes)) {
		uint64_t left = sizeof(h->bytes) - offset;

		memcpy(buf, h->bytes + offset, left < len_bytes ? left : len_bytes);
	}
	return h->broken ? -QUIRE_EIO : 0;
}

static int host_write(void *context, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct host *h = context;

	h->nr_writes++;
	assert_true(offset + len_bytes <= sizeof(h->bytes));
	memcpy(h->bytes + offset, buf, len_bytes);
	return 0;
}

static struct quire_file *new_file(enum quire_file_kind kind)
{
	struct quire_file_config config = {
		.kind = kind,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = FILE_PAGES * PAGE,
		.backing = { &host, host_read, host_write, NULL },
	};
	struct quire_file *file;

	memset(&host, 0, sizeof(host));
	for (unsigned i = 0; i < FILE_PAGES; i++)
		memset(host.bytes + i * PAGE, (int)i + 1, PAGE);
	if (kind == QUIRE_FILE_MEMORY)
		memset(&config.backing, 0, sizeof(config.backing));
	assert_int_equal(quire_file_create(q, &config, &file), 0);
	return file;
}

static uint8_t file_get_byte(struct quire_file *file, uint64_t offset)
{
	uint8_t byte;

	assert_int_equal(quire_file_read(file, offset, &byte, 1), 0);
	return byte;
}

static void memory_file_shared(void **state)
{
	struct quire_file *file = new_file(QUIRE_FILE_MEMORY);
	uint8_t byte = 4;

	(void)state;
	map_in(mm, BASE, 4, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	assert_int_equal(get(mm, BASE), 0);
	/* It may be written at once: nobody has to be told. */
	put(mm, BASE, 7);
	assert_int_equal(stats(mm).faults, 1);
	assert_int_equal(stats(mm).major_faults, 0);
	assert_int_equal(stats(mm).rss_shmem_pages, 1);
	assert_int_equal(file_get_byte(file, 0), 7);
	assert_int_equal(quire_file_write(file, 1, &byte, 1), 0);
	assert_int_equal(get(mm, BASE + 1), 4);
	quire_file_put(file);
	/* The mapping keeps the contents. */
	assert_int_equal(quire_munmap(mm, BASE + PAGE, PAGE), 0);
	assert_int_equal(get(mm, BASE), 7);
}

static void fault_around_maps_what_is_cached(void **state)
{
	struct quire_file *file = new_file(QUIRE_FILE_MEMORY);
	uint8_t byte = 1;
	uint64_t window;

	(void)state;
	window = world_config.fault_around_bytes / PAGE;
	window = window < 4 ? window : 4;
	for (unsigned i = 0; i < 4; i++)
		if (i != 1)
			assert_int_equal(quire_file_write(file, i * PAGE, &byte, 1), 0);
	map_in(mm, BASE, 4, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, file, 0);
	assert_int_equal(get(mm, BASE), 1);
	assert_true(info(mm, BASE).accessed);
	assert_false(info(mm, BASE + PAGE).present);
	if (window > 2) {
		assert_true(info(mm, BASE + 2 * PAGE).present);
		assert_false(info(mm, BASE + 2 * PAGE).accessed);
		assert_int_equal(stats(mm).rss_shmem_pages, window - 1);
		assert_int_equal(get(mm, BASE + 2 * PAGE), 1);
		assert_int_equal(stats(mm).faults, 1);
	} else {
		assert_false(info(mm, BASE + 2 * PAGE).present);
	}
	quire_file_put(file);
}

/* Read first and so mapped writable at once, then written: only the entry
 * knows, until it is taken. */
static void dirty_entry_is_remembered(void **state)
{
	struct quire_file *file = new_file(QUIRE_FILE_MEMORY);
	const struct mapping *mapping = ((struct file *)(void *)file)->mapping;

	(void)state;
	map_in(mm, BASE, 2, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	assert_int_equal(get(mm, BASE), 0);
	assert_int_equal(get(mm, BASE + PAGE), 0);
	put(mm, BASE, 7);
	assert_true(info(mm, BASE).dirty);
	assert_int_equal(mapping->nr_dirty, 0);
	assert_int_equal(quire_munmap(mm, BASE, 2 * PAGE), 0);
	assert_int_equal(mapping->nr_dirty, 1);
	quire_file_put(file);
}

/* The window begins where the VMA does, above the aligned place, and is no
 * shorter for it. */
static void fault_around_window(void **state)
{
	struct quire_file *file;
	uint64_t window;
	uint8_t byte = 1;

	(void)state;
	world_end();
	world_config_default();
	window = QUIRE_TABLE_ENTRIES / 2 < 8 ? QUIRE_TABLE_ENTRIES / 2 : 8;
	world_config.fault_around_bytes = (unsigned)(window * PAGE);
	world_begin();
	file = new_file(QUIRE_FILE_MEMORY);
	assert_int_equal(quire_file_truncate(file, 2 * window * PAGE), 0);
	for (uint64_t i = 0; i < window + 1; i++)
		assert_int_equal(quire_file_write(file, i * PAGE, &byte, 1), 0);
	map_in(mm, BASE + PAGE, 2 * window - 1, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file,
	       0);
	assert_int_equal(get(mm, BASE + PAGE), 1);
	for (uint64_t i = 0; i < window; i++)
		assert_true(info(mm, BASE + (i + 1) * PAGE).present);
	assert_false(info(mm, BASE + (window + 1) * PAGE).present);
	assert_int_equal(stats(mm).rss_shmem_pages, window);
	quire_file_put(file);
}

static void host_file_reads_and_is_told(void **state)
{
	struct quire_file *file = new_file(QUIRE_FILE_HOST);
	uint64_t faults;

	(void)state;
	map_in(mm, BASE, 2, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 3);
	assert_int_equal(get(mm, BASE), 4);
	assert_int_equal(stats(mm).major_faults, 1);
	assert_int_equal(stats(mm).rss_file_pages, 1);
	assert_false(info(mm, BASE).writable);
	faults = stats(mm).faults;
	put(mm, BASE, 99);
	assert_int_equal(stats(mm).faults, faults + 1);
	put(mm, BASE + 1, 98);
	assert_int_equal(stats(mm).faults, faults + 1);
	/* Written back, it is clean: the next write has to be noticed again. */
	assert_int_equal(quire_file_sync(file), 0);
	assert_int_equal(host.bytes[3 * PAGE], 99);
	assert_int_equal(host.bytes[3 * PAGE + 1], 98);
	assert_false(info(mm, BASE).writable || info(mm, BASE).dirty);
	put(mm, BASE, 97);
	assert_int_equal(stats(mm).faults, faults + 2);
	/* Dirty when unmapped: not lost. */
	assert_int_equal(quire_munmap(mm, BASE, 2 * PAGE), 0);
	assert_int_equal(quire_file_sync(file), 0);
	assert_int_equal(host.bytes[3 * PAGE], 97);
	quire_file_put(file);
}

static void private_writes_stay_private(void **state)
{
	struct quire_file *file = new_file(QUIRE_FILE_HOST);
	struct quire_mm *child;

	(void)state;
	map_in(mm, BASE, 3, RW, QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, file, 0);
	/* Read, then written; and written at once. */
	assert_int_equal(get(mm, BASE), 1);
	put(mm, BASE, 50);
	put(mm, BASE + PAGE, 51);
	assert_int_equal(stats(mm).cow_copies, 2);
	assert_int_equal(stats(mm).rss_anon_pages, 2);
	assert_int_equal(get(mm, BASE + 1), 1);
	assert_int_equal(get(mm, BASE + PAGE + 1), 2);
	assert_int_equal(file_get_byte(file, 0), 1);
	assert_int_equal(file_get_byte(file, PAGE), 2);

	child = fork_of(mm);
	assert_int_equal(get(child, BASE), 50);
	put(child, BASE, 60);
	assert_int_equal(get(mm, BASE), 50);
	assert_int_equal(get(child, BASE + 2 * PAGE), 3);
	quire_mm_put(child);
	assert_int_equal(quire_madvise(mm, BASE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(get(mm, BASE), 1);
	quire_file_put(file);
	assert_int_equal(host.nr_writes, 0);
}

static void beyond_the_end(void **state)
{
	struct quire_file *file = new_file(QUIRE_FILE_MEMORY);

	(void)state;
	map_in(mm, BASE, 4, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, FILE_PAGES - 2);
	put(mm, BASE + PAGE, 1);
	assert_signal(mm, BASE + 2 * PAGE, QUIRE_TOUCH_READ, QUIRE_SIGBUS);
	assert_signal(mm, BASE + 2 * PAGE, QUIRE_TOUCH_WRITE, QUIRE_SIGBUS);
	assert_int_equal(quire_file_truncate(file, (FILE_PAGES - 1) * PAGE + 1), 0);
	assert_int_equal(get(mm, BASE + PAGE), 1);
	assert_int_equal(quire_file_truncate(file, (FILE_PAGES - 1) * PAGE), 0);
	assert_signal(mm, BASE + PAGE, QUIRE_TOUCH_READ, QUIRE_SIGBUS);
	assert_int_equal(quire_file_truncate(file, FILE_PAGES * PAGE), 0);
	assert_int_equal(get(mm, BASE + PAGE), 0);
	quire_file_put(file);
}

/* Truncation takes private copies too; punching a hole leaves them. */
static void truncated_under_private_mappings(void **state)
{
	struct quire_file *file = new_file(QUIRE_FILE_MEMORY);
	uint8_t byte = 9;

	(void)state;
	assert_int_equal(quire_file_write(file, 0, &byte, 1), 0);
	assert_int_equal(quire_file_write(file, PAGE, &byte, 1), 0);
	map_in(mm, BASE, 4, RW, QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, file, 0);
	map_in(mm, BASE + QUIRE_PMD_SIZE, 4, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	put(mm, BASE, 1);
	assert_int_equal(get(mm, BASE + PAGE), 9);
	assert_int_equal(get(mm, BASE + QUIRE_PMD_SIZE), 9);
	assert_int_equal(quire_file_punch(file, 0, 2 * PAGE), 0);
	assert_int_equal(get(mm, BASE), 1);
	assert_int_equal(get(mm, BASE + PAGE), 0);
	assert_int_equal(get(mm, BASE + QUIRE_PMD_SIZE), 0);
	assert_int_equal(quire_file_truncate(file, 0), 0);
	assert_signal(mm, BASE, QUIRE_TOUCH_READ, QUIRE_SIGBUS);
	assert_int_equal(stats(mm).rss_anon_pages, 0);
	assert_int_equal(stats(mm).rss_shmem_pages, 0);
	quire_file_put(file);
}

static void read_errors(void **state)
{
	struct quire_file *file = new_file(QUIRE_FILE_HOST);

	(void)state;
	map_in(mm, BASE, 4, RW, QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, file, 0);
	host.broken = true;
	assert_signal(mm, BASE, QUIRE_TOUCH_READ, QUIRE_SIGBUS);
	assert_signal(mm, BASE, QUIRE_TOUCH_WRITE, QUIRE_SIGBUS);
	host.broken = false;
	assert_int_equal(get(mm, BASE), 1);
	quire_file_put(file);
}

/* Pins see what the file sees, and dirty it. */
static void pinned_shared_page(void **state)
{
	struct quire_file *file = new_file(QUIRE_FILE_HOST);
	struct quire_pin *pin;
	uint8_t byte = 42;

	(void)state;
	map_in(mm, BASE, 4, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	pin = pin_pages(mm, BASE, 1, QUIRE_PIN_WRITE);
	assert_int_equal(quire_file_sync(file), 0);
	assert_int_equal(quire_pin_write(pin, 5, &byte, 1), 0);
	quire_unpin(pin);
	assert_int_equal(quire_munmap(mm, BASE, 4 * PAGE), 0);
	assert_int_equal(quire_file_sync(file), 0);
	assert_int_equal(host.bytes[5], 42);
	quire_file_put(file);
}

static void residency(void **state)
{
	struct quire_file *file = new_file(QUIRE_FILE_MEMORY);
	uint8_t vec[6], byte = 1;

	(void)state;
	assert_int_equal(quire_file_write(file, 2 * PAGE, &byte, 1), 0);
	map_in(mm, BASE, 4, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	map_anon(BASE + 4 * PAGE, 2);
	put(mm, BASE + 5 * PAGE, 1);
	assert_int_equal(quire_mincore(mm, BASE, 6 * PAGE, vec), 0);
	assert_memory_equal(vec, ((uint8_t[]){ 0, 0, 1, 0, 0, 1 }), 6);
	assert_int_equal(quire_mincore(mm, BASE + 1, PAGE, vec), -QUIRE_EINVAL);
	assert_int_equal(quire_mincore(mm, BASE + 5 * PAGE, 2 * PAGE, vec), -QUIRE_ENOMEM);
	assert_int_equal(quire_mincore(mm, BASE, 0, vec), 0);
	quire_file_put(file);
}

static void fails_at(uint32_t map_flags, enum quire_touch kind)
{
	struct quire_file *file = new_file(QUIRE_FILE_HOST);
	uint64_t nr_seen = 0;
	int err = -1;

	map_in(mm, BASE, 4, RW, map_flags | QUIRE_MAP_FIXED, file, 0);
	for (uint64_t n = 1; err != 0; n++) {
		quire_fail_nth(n);
		err = quire_touch(mm, BASE + PAGE, kind, NULL);
		quire_fail_nth(0);
		nr_seen = n;
		if (err != 0) {
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_false(info(mm, BASE + PAGE).present);
		}
	}
	/* Tables that a failed try made are still there for the next. */
	assert_true(nr_seen > 2);
	assert_int_equal(get(mm, BASE + PAGE), 2);
	quire_file_put(file);
	assert_int_equal(quire_munmap(mm, BASE, 4 * PAGE), 0);
}

static void every_allocation_fails(void **state)
{
	(void)state;
	fails_at(QUIRE_MAP_SHARED, QUIRE_TOUCH_READ);
	fails_at(QUIRE_MAP_SHARED, QUIRE_TOUCH_WRITE);
	fails_at(QUIRE_MAP_PRIVATE, QUIRE_TOUCH_READ);
	fails_at(QUIRE_MAP_PRIVATE, QUIRE_TOUCH_WRITE);
}

/* /dev/zero: memory like anonymous memory, in VMAs of their own. */
static void zeros_as_a_file(void **state)
{
	struct quire_file_config config = {
		.kind = QUIRE_FILE_ZERO, .mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
	};
	struct quire_mm *child;
	struct quire_file *zeros;
	uint8_t byte = 1;
	uint64_t vmas;

	(void)state;
	assert_int_equal(quire_file_create(q, &config, &zeros), 0);
	assert_int_equal(quire_file_write(zeros, 0, &byte, 1), -QUIRE_EINVAL);
	assert_int_equal(quire_file_truncate(zeros, PAGE), -QUIRE_EINVAL);
	map_anon(BASE, 2);
	vmas = stats(mm).nr_vmas;
	map_in(mm, BASE + 2 * PAGE, 2, RW, QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, zeros, 2);
	assert_int_equal(stats(mm).nr_vmas, vmas + 1);
	/* What goes on in the file goes on in the VMA. */
	map_in(mm, BASE + 4 * PAGE, 2, RW, QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, zeros, 4);
	assert_int_equal(stats(mm).nr_vmas, vmas + 1);
	map_in(mm, BASE + 6 * PAGE, 2, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, zeros, 0);
	assert_int_equal(get(mm, BASE + 5 * PAGE), 0);
	put(mm, BASE + 3 * PAGE, 5);
	put(mm, BASE + 6 * PAGE, 6);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
	assert_int_equal(stats(mm).rss_file_pages, 0);
	assert_int_equal(stats(mm).rss_shmem_pages, 1);
	assert_int_equal(quire_mm_fork(mm, &child), 0);
	put(child, BASE + 3 * PAGE, 7);
	put(child, BASE + 6 * PAGE, 8);
	assert_int_equal(get(mm, BASE + 3 * PAGE), 5);
	assert_int_equal(get(mm, BASE + 6 * PAGE), 8);
	quire_mm_put(child);
	quire_check(q);
	assert_int_equal(quire_munmap(mm, BASE, 8 * PAGE), 0);
	quire_file_put(zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(memory_file_shared),
		world_test(fault_around_maps_what_is_cached),
		world_test(dirty_entry_is_remembered),
		world_test(fault_around_window),
		world_test(host_file_reads_and_is_told),
		world_test(private_writes_stay_private),
		world_test(beyond_the_end),
		world_test(truncated_under_private_mappings),
		world_test(read_errors),
		world_test(pinned_shared_page),
		world_test(residency),
		world_test(every_allocation_fails),
		world_test(zeros_as_a_file),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
