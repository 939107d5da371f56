/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Geometry: the sizes everything else is derived from, fixed when the core is
 * built.  Three geometries are always tested:
 *
 *     name      page     bits per level   levels   PMD-sized folio
 *     4k        4 KiB    9                4        2 MiB   (order 9)
 *     64k       64 KiB   13               3        512 MiB (order 13)
 *     tiny      64 B     2                4        256 B   (order 2)
 *
 * The user half of the address space is [0, QUIRE_TASK_SIZE).
 * Library and program must be compiled with the same three values; a program
 * can check with quire_geometry_matches() (see instance.h).
 */
#ifndef QUIRE_GEOMETRY_H
#define QUIRE_GEOMETRY_H

#include <stdint.h>

#ifndef QUIRE_PAGE_SHIFT
#define QUIRE_PAGE_SHIFT 12
#endif
#ifndef QUIRE_LEVEL_BITS
#define QUIRE_LEVEL_BITS 9
#endif
#ifndef QUIRE_LEVELS
#define QUIRE_LEVELS 4
#endif
/* Slots of a maple tree leaf; an inner node that records gaps has fewer. */
#ifndef QUIRE_MAPLE_SLOTS
#define QUIRE_MAPLE_SLOTS 16
#endif

#define QUIRE_PAGE_SIZE (UINT64_C(1) << QUIRE_PAGE_SHIFT)
#define QUIRE_PAGE_MASK (~(QUIRE_PAGE_SIZE - 1))
#define QUIRE_TABLE_ENTRIES (1u << QUIRE_LEVEL_BITS)

/* Order (log2 of the number of pages) of a folio that one PMD entry maps. */
#define QUIRE_PMD_ORDER QUIRE_LEVEL_BITS
/* Largest order the buddy allocator hands out. */
#define QUIRE_MAX_ORDER (QUIRE_PMD_ORDER > 10 ? QUIRE_PMD_ORDER : 10)

#define QUIRE_VA_BITS (QUIRE_PAGE_SHIFT + QUIRE_LEVEL_BITS * QUIRE_LEVELS)
#define QUIRE_TASK_SIZE ((UINT64_C(1) << (QUIRE_VA_BITS - 1)) - QUIRE_PAGE_SIZE)

/* log2 of the bytes that one entry of a table at `level` maps; 0 is the last. */
#define QUIRE_LEVEL_SHIFT(level) (QUIRE_PAGE_SHIFT + QUIRE_LEVEL_BITS * (level))
#define QUIRE_PMD_SIZE (UINT64_C(1) << QUIRE_LEVEL_SHIFT(1))

#endif
