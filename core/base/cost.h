/* SPDX-License-Identifier: BSD-2-Clause */
/* The core's side of the cost counters (include/quire/cost.h). */
#ifndef BASE_COST_H
#define BASE_COST_H

#include <quire/cost.h>
#include <quire/machine.h>

#ifdef QUIRE_COUNT_COSTS
#define COST_ADD(field, n) ((void)(mach_cost()->field += (uint64_t)(n)))
#else
#define COST_ADD(field, n) ((void)sizeof(n))
#endif

#endif
