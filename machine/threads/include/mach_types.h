/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The threads machine: a CPU is an attached pthread, atomics are the
 * compiler's, locks are words with a futex behind them.  Calls that the fast
 * paths of the core make are inline (mach_ops.h).
 */
#ifndef THREADS_MACH_TYPES_H
#define THREADS_MACH_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#define MACH_FN static inline

struct mach_spin {
	uint8_t locked; /* 0 free, 1 taken */
};

struct mach_mutex {
	uint32_t state; /* 0 free, 1 taken, 2 taken and somebody may be parked */
};

struct mach_rw {
	uint32_t state;   /* readers inside, THREADS_RW_WRITER, THREADS_RW_PARKED */
	uint32_t writers; /* writers that wait: readers let them go first */
};

struct mach_rcu_head {
	struct mach_rcu_head *next;
	void (*fn)(struct mach_rcu_head *head);
};

#endif
