/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The explore machine: a CPU is a fiber, one OS thread runs them all, and a
 * scheduler owns every step.  Every call of the seam is a function here, so
 * MACH_FN is extern; locks are plain words, because nothing runs beside them.
 */
#ifndef EXPLORE_MACH_TYPES_H
#define EXPLORE_MACH_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#define MACH_FN extern

struct mach_spin {
	uint32_t holder; /* 0, or 1 + the actor that holds it */
};

struct mach_mutex {
	uint32_t holder; /* 0, or 1 + the actor that holds it */
};

struct mach_rw {
	uint64_t readers;        /* a bit for each actor that reads */
	uint32_t writer;         /* 0, or 1 + the actor that writes */
	uint32_t writers_queued; /* no new reader gets in while not 0 */
};

struct mach_rcu_head {
	struct mach_rcu_head *next;
	void (*fn)(struct mach_rcu_head *head);
	uint64_t stamp; /* sections that began before this are waited for */
};

#endif
