/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words every room uses.  Ranges are half-open, [start, end); addresses and
 * sizes are in bytes and 64 bits wide whatever the host is.
 */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/errno.h>
#include <quire/geometry.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define PAGE_SHIFT QUIRE_PAGE_SHIFT
#define PAGE_SIZE QUIRE_PAGE_SIZE
#define PAGE_MASK QUIRE_PAGE_MASK
#define PMD_ORDER QUIRE_PMD_ORDER
#define PMD_SIZE QUIRE_PMD_SIZE
#define TASK_SIZE QUIRE_TASK_SIZE

/* The number of a page frame; its own type so that it is not mixed with an
 * address, an index in a file or a page count. */
typedef struct pfn {
	u64 v;
} pfn_t;

static inline pfn_t pfn_make(u64 v)
{
	return (pfn_t){ v };
}

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define MUST_CHECK __attribute__((warn_unused_result))

static inline u64 u64_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 u64_max(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* `unit` is a power of two. */
static inline u64 align_down(u64 v, u64 unit)
{
	return v & ~(unit - 1);
}

/* Wraps to 0 when v is above the last multiple; callers check. */
static inline u64 align_up(u64 v, u64 unit)
{
	return (v + unit - 1) & ~(unit - 1);
}

static inline bool is_aligned(u64 v, u64 unit)
{
	return (v & (unit - 1)) == 0;
}

static inline u64 page_align_up(u64 v)
{
	return align_up(v, PAGE_SIZE);
}

#endif
