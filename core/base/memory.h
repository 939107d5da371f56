/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moving and clearing bytes.  A freestanding compiler still expects memcpy,
 * memmove, memset and memcmp to exist at link time; the core names them only
 * here.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include "base/types.h"

static inline void mem_copy(void *to, const void *from, size_t bytes)
{
	__builtin_memcpy(to, from, bytes);
}

static inline void mem_move(void *to, const void *from, size_t bytes)
{
	__builtin_memmove(to, from, bytes);
}

static inline void mem_zero(void *mem, size_t bytes)
{
	__builtin_memset(mem, 0, bytes);
}

static inline void mem_fill(void *mem, u8 value, size_t bytes)
{
	__builtin_memset(mem, value, bytes);
}

#endif
