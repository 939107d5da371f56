/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public file functions: modes, wrong arguments, mappings that see what
 * truncation, holes and plain writes do.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/file.h>
#include <quire/quire.h>

#include "base/types.h"

#define PAGES(n) ((uint64_t)(n) << PAGE_SHIFT)

struct world {
	struct quire *q;
	struct quire_mm *mm;
	struct quire_file *file;
};

static int open_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct quire_config config;
	struct quire_layout layout;
	const struct quire_file_config file_config = {
		.kind = QUIRE_FILE_MEMORY,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = PAGES(8),
	};

	assert_int_equal(quire_attach(), 0);
	quire_config_default(&config);
	config.memory_bytes = PAGES(4096);
	assert_int_equal(quire_create(&config, &w->q), 0);
	quire_layout_default(&layout);
	assert_int_equal(quire_mm_create(w->q, &layout, &w->mm), 0);
	assert_int_equal(quire_file_create(w->q, &file_config, &w->file), 0);
	*state = w;
	return 0;
}

static int close_world(void **state)
{
	struct world *w = *state;
	struct quire_leaks leaks;

	quire_file_put(w->file);
	quire_mm_put(w->mm);
	quire_check(w->q);
	quire_destroy(w->q, &leaks);
	assert_int_equal(leaks.nr_frames, 0);
	assert_int_equal(leaks.nr_objects, 0);
	quire_detach();
	free(w);
	return 0;
}

static void a_handle_allows_what_it_was_opened_for(void **state)
{
	struct world *w = *state;
	struct quire_file *reader, *writer;
	uint8_t byte = 7;

	assert_int_equal(quire_file_reopen(w->file, QUIRE_FILE_READ, &reader), 0);
	assert_int_equal(quire_file_reopen(w->file, QUIRE_FILE_WRITE, &writer), 0);
	assert_int_equal(quire_file_write(reader, 0, &byte, 1), -QUIRE_EBADF);
	assert_int_equal(quire_file_truncate(reader, 0), -QUIRE_EBADF);
	assert_int_equal(quire_file_punch(reader, 0, PAGES(1)), -QUIRE_EBADF);
	assert_int_equal(quire_file_read(writer, 0, &byte, 1), -QUIRE_EBADF);
	assert_int_equal(quire_file_write(writer, 3, &byte, 1), 0);
	byte = 0;
	assert_int_equal(quire_file_read(reader, 3, &byte, 1), 0);
	assert_int_equal(byte, 7);
	assert_int_equal(quire_file_sync(reader), 0);
	assert_int_equal(quire_file_size_bytes(reader), PAGES(8));
	assert_int_equal(quire_file_nr_cached_pages(writer), 1);
	quire_file_put(reader);
	quire_file_put(writer);
}

static void wrong_arguments_are_errors(void **state)
{
	struct world *w = *state;
	struct quire_file_config config = { .kind = QUIRE_FILE_HOST };
	struct quire_file *file = NULL;
	uint8_t byte = 0;

	assert_int_equal(quire_file_create(NULL, &config, &file), -QUIRE_EINVAL);
	assert_int_equal(quire_file_create(w->q, NULL, &file), -QUIRE_EINVAL);
	assert_int_equal(quire_file_create(w->q, &config, &file), -QUIRE_EINVAL);
	assert_int_equal(quire_file_create(w->q, &config, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_file_reopen(NULL, 0, &file), -QUIRE_EINVAL);
	assert_int_equal(quire_file_reopen(w->file, 0, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_file_reopen(w->file, 1u << 30, &file), -QUIRE_EINVAL);
	assert_null(file);
	assert_int_equal(quire_file_read(NULL, 0, &byte, 1), -QUIRE_EINVAL);
	assert_int_equal(quire_file_write(NULL, 0, &byte, 1), -QUIRE_EINVAL);
	assert_int_equal(quire_file_truncate(NULL, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_file_truncate(w->file, UINT64_MAX), -QUIRE_EINVAL);
	assert_int_equal(quire_file_punch(w->file, 1, UINT64_MAX), -QUIRE_EINVAL);
	assert_int_equal(quire_file_sync(NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_file_size_bytes(NULL), 0);
	assert_int_equal(quire_file_nr_cached_pages(NULL), 0);
	assert_int_equal(quire_file_read(w->file, PAGES(8), &byte, 1), -QUIRE_ERANGE);
	quire_file_put(NULL);
}

static void a_mapping_sees_what_is_done_to_the_file(void **state)
{
	struct world *w = *state;
	struct quire_fault fault;
	uint64_t shared, private;
	uint8_t byte;

	assert_int_equal(quire_mmap(w->mm, 0, PAGES(8), QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				    QUIRE_MAP_SHARED, w->file, 0, &shared), 0);
	assert_int_equal(quire_mmap(w->mm, 0, PAGES(8), QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				    QUIRE_MAP_PRIVATE, w->file, 0, &private), 0);
	byte = 0x61;
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(quire_write(w->mm, shared + PAGES(i), &byte, 1, NULL), 0);
	byte = 0x62;
	assert_int_equal(quire_write(w->mm, private + PAGES(2), &byte, 1, NULL), 0);
	assert_int_equal(quire_write(w->mm, private + PAGES(6), &byte, 1, NULL), 0);

	/* Whole pages of the hole go, the private copy stays. */
	assert_int_equal(quire_file_punch(w->file, PAGES(1) + 1, PAGES(3)), 0);
	assert_int_equal(quire_file_nr_cached_pages(w->file), 6);
	assert_int_equal(quire_read(w->mm, shared + PAGES(2), &byte, 1, NULL), 0);
	assert_int_equal(byte, 0);
	assert_int_equal(quire_read(w->mm, private + PAGES(2), &byte, 1, NULL), 0);
	assert_int_equal(byte, 0x62);
	assert_int_equal(quire_read(w->mm, private + PAGES(4), &byte, 1, NULL), 0);
	assert_int_equal(byte, 0x61);

	/* Beyond a new end nothing stays. */
	assert_int_equal(quire_file_truncate(w->file, PAGES(5) + 1), 0);
	assert_int_equal(quire_read(w->mm, private + PAGES(6), &byte, 1, &fault), -QUIRE_EFAULT);
	assert_int_equal(fault.signal, QUIRE_SIGBUS);
	assert_int_equal(quire_read(w->mm, shared + PAGES(7), &byte, 1, &fault), -QUIRE_EFAULT);
	assert_int_equal(fault.signal, QUIRE_SIGBUS);
	assert_int_equal(quire_file_truncate(w->file, PAGES(8)), 0);
	assert_int_equal(quire_read(w->mm, private + PAGES(6), &byte, 1, NULL), 0);
	assert_int_equal(byte, 0);
	quire_check(w->q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_handle_allows_what_it_was_opened_for,
						open_world, close_world),
		cmocka_unit_test_setup_teardown(wrong_arguments_are_errors, open_world,
						close_world),
		cmocka_unit_test_setup_teardown(a_mapping_sees_what_is_done_to_the_file,
						open_world, close_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
