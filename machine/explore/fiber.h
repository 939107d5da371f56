/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fibers: a stack, a saved stack pointer, and a hand-written switch.  Under
 * the address sanitizer each switch is announced.
 */
#ifndef EXPLORE_FIBER_H
#define EXPLORE_FIBER_H

#include "explore/world.h"

void xp_switch(void **save_sp, void *load_sp);
/* The next switch to `actor` calls `entry`, which never returns. */
void xp_fiber_prepare(struct xp_actor *actor, void (*entry)(void));
/* From one fiber to another. */
void xp_fiber_switch(struct xp_actor *from, struct xp_actor *to);
/* From explore_run() into a fiber and, by xp_fiber_leave(), back. */
void xp_fiber_enter(struct xp_actor *to);
_Noreturn void xp_fiber_leave(void);
/* First thing in an entry. */
void xp_fiber_arrived(void);

#endif
