/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The edge of the core: what every public function does first.
 *
 * A public function checks its caller's CPU, points that CPU's cost counters at
 * the instance and turns the opaque handle into the struct.  Wrong arguments
 * are errnos; nothing behind this line has to doubt them.
 */
#ifndef MM_API_H
#define MM_API_H

#include "mm/mm.h"

/* 0; -EINVAL when this CPU may not use the instance (or is not attached). */
MUST_CHECK static inline int api_enter(struct quire *q)
{
	unsigned cpu;

	if (unlikely(q == NULL))
		return -QUIRE_EINVAL;
	cpu = mach_cpu();
	if (unlikely(cpu >= q->config.nr_cpus))
		return -QUIRE_EINVAL;
	mach_set_cost(&q->costs[cpu]);
	return 0;
}

/* The same for an address space; *ret_mm is what the handle stands for. */
MUST_CHECK static inline int api_enter_mm(struct quire_mm *handle, struct mm **ret_mm)
{
	struct mm *mm = (struct mm *)(void *)handle;

	if (unlikely(mm == NULL))
		return -QUIRE_EINVAL;
	*ret_mm = mm;
	return api_enter(mm->q);
}

static inline struct quire_mm *mm_handle(struct mm *mm)
{
	return (struct quire_mm *)(void *)mm;
}

#endif
