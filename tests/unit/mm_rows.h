/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Literal maps: what an address space must look like, row by row, in pages
 * from BASE.
 */
#ifndef TESTS_MM_ROWS_H
#define TESTS_MM_ROWS_H

#include "mm_world.h"

struct row {
	uint64_t start, end; /* pages from BASE */
	const char *prot;    /* as in /proc: "rw-p"; a fifth letter 'l': locked */
	uint64_t offset;     /* pages into the file */
};

#define MAX_ROWS 32

struct rows {
	unsigned nr;
	struct quire_map_info maps[MAX_ROWS];
};

static inline bool rows_visit(const struct quire_map_info *map, void *arg)
{
	struct rows *rows = arg;

	assert_true(rows->nr < MAX_ROWS);
	rows->maps[rows->nr++] = *map;
	return true;
}

static inline void row_text(const struct quire_map_info *map, char text[6])
{
	text[0] = map->prot & QUIRE_PROT_READ ? 'r' : '-';
	text[1] = map->prot & QUIRE_PROT_WRITE ? 'w' : '-';
	text[2] = map->prot & QUIRE_PROT_EXEC ? 'x' : '-';
	text[3] = map->shared ? 's' : 'p';
	text[4] = map->locked ? 'l' : '\0';
	text[5] = '\0';
}

static inline void rows_print(const struct rows *rows)
{
	for (unsigned i = 0; i < rows->nr; i++) {
		char text[6];

		row_text(&rows->maps[i], text);
		print_message("  [%lld, %lld) %s %llu\n",
			      (long long)((int64_t)(rows->maps[i].start - BASE) / (int64_t)PAGE),
			      (long long)((int64_t)(rows->maps[i].end - BASE) / (int64_t)PAGE),
			      text, (unsigned long long)(rows->maps[i].offset / PAGE));
	}
}

static inline bool row_equal(const struct quire_map_info *map, const struct row *row)
{
	char text[6];

	row_text(map, text);
	return map->start == BASE + row->start * PAGE && map->end == BASE + row->end * PAGE &&
	       strcmp(text, row->prot) == 0 && map->offset == row->offset * PAGE;
}

/* Checks every invariant too. */
static inline void expect_rows(struct quire_mm *where, const struct row *want, unsigned nr,
			       int line)
{
	struct rows rows = { 0 };
	bool equal;

	quire_mm_maps(where, rows_visit, &rows);
	equal = rows.nr == nr;
	for (unsigned i = 0; equal && i < nr; i++)
		equal = row_equal(&rows.maps[i], &want[i]);
	if (!equal) {
		print_message("line %d: found\n", line);
		rows_print(&rows);
	}
	assert_true(equal);
	quire_check(q);
}

/* EXPECT({ 0, 2, "rw-p", 0 }, ...) */
#define EXPECT(...)                                                                  \
	do {                                                                         \
		static const struct row want_[] = { __VA_ARGS__ };                   \
		expect_rows(mm, want_, sizeof(want_) / sizeof(want_[0]), __LINE__);  \
	} while (0)
#define EXPECT_NONE() expect_rows(mm, NULL, 0, __LINE__)

/* Calls in pages from BASE. */
static inline uint64_t at(uint64_t page)
{
	return BASE + page * PAGE;
}

static inline void map_prot(uint64_t page, uint64_t nr_pages, uint32_t prot)
{
	map_in(mm, at(page), nr_pages, prot, PRIVATE_ANON, NULL, 0);
}

static inline void unmap(uint64_t page, uint64_t nr_pages)
{
	assert_int_equal(quire_munmap(mm, at(page), nr_pages * PAGE), 0);
}

static inline void protect(uint64_t page, uint64_t nr_pages, uint32_t prot)
{
	assert_int_equal(quire_mprotect(mm, at(page), nr_pages * PAGE, prot), 0);
}

static inline struct quire_file *file_of_pages(uint64_t nr_pages, uint32_t mode)
{
	struct quire_file_config config = {
		.kind = QUIRE_FILE_MEMORY, .mode = mode, .size_bytes = nr_pages * PAGE,
	};
	struct quire_file *file;

	assert_int_equal(quire_file_create(q, &config, &file), 0);
	return file;
}

#define R QUIRE_PROT_READ
#define NONE QUIRE_PROT_NONE
#define FILE_RW (QUIRE_FILE_READ | QUIRE_FILE_WRITE)
#define PRIVATE_FILE (QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED)
#define SHARED_FILE (QUIRE_MAP_SHARED | QUIRE_MAP_FIXED)

#endif
