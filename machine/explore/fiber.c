/* SPDX-License-Identifier: BSD-2-Clause */
/* Fibers: see fiber.h; the switch itself is fiber.S. */
#include <string.h>

#include "explore/fiber.h"

#if defined(__SANITIZE_ADDRESS__)
#define XP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define XP_ASAN 1
#endif
#endif

#ifdef XP_ASAN
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t bytes);
void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *bytes);
void __asan_unpoison_memory_region(void const volatile *mem, size_t bytes);

static const void *main_bottom;
static size_t main_bytes;
static void *main_save;

static void leaving(void **save, const void *bottom, size_t bytes)
{
	__sanitizer_start_switch_fiber(save, bottom, bytes);
}

static void arrived(void *save, const void **bottom, size_t *bytes)
{
	__sanitizer_finish_switch_fiber(save, bottom, bytes);
}

/* An abandoned run leaves poisoned frames behind. */
static void stack_is_fresh(struct xp_actor *actor)
{
	__asan_unpoison_memory_region(actor->stack, actor->stack_bytes);
}
#else
static const void *main_bottom;
static size_t main_bytes;
static void *main_save;

static void leaving(void **save, const void *bottom, size_t bytes)
{
	(void)save;
	(void)bottom;
	(void)bytes;
}

static void arrived(void *save, const void **bottom, size_t *bytes)
{
	(void)save;
	(void)bottom;
	(void)bytes;
}

static void stack_is_fresh(struct xp_actor *actor)
{
	(void)actor;
}
#endif

/* True until the fiber entered has told where the stack of the main one lies. */
static bool main_unknown;

void xp_fiber_prepare(struct xp_actor *actor, void (*entry)(void))
{
	uint64_t *top = (uint64_t *)(void *)(actor->stack + actor->stack_bytes);

	stack_is_fresh(actor);
#if defined(__x86_64__)
	/* At entry the stack is 8 below a multiple of 16, as after a call, and
	 * the return address is 0. */
	top -= 8;
	memset(top, 0, 8 * sizeof(*top));
	top[6] = (uint64_t)(uintptr_t)entry;
#elif defined(__aarch64__)
	top -= 20;
	memset(top, 0, 20 * sizeof(*top));
	top[1] = (uint64_t)(uintptr_t)entry;
#endif
	actor->sp = top;
	actor->sanitizer_stack = NULL;
}

void xp_fiber_switch(struct xp_actor *from, struct xp_actor *to)
{
	leaving(&from->sanitizer_stack, to->stack, to->stack_bytes);
	xp_switch(&from->sp, to->sp);
	arrived(from->sanitizer_stack, NULL, NULL);
}

void xp_fiber_enter(struct xp_actor *to)
{
	main_unknown = true;
	leaving(&main_save, to->stack, to->stack_bytes);
	xp_switch(&xp.main_sp, to->sp);
	arrived(main_save, NULL, NULL);
}

void xp_fiber_leave(void)
{
	void *unused;

	leaving(NULL, main_bottom, main_bytes);
	xp_switch(&unused, xp.main_sp);
	__builtin_unreachable();
}

void xp_fiber_arrived(void)
{
	if (main_unknown)
		arrived(NULL, &main_bottom, &main_bytes);
	else
		arrived(NULL, NULL, NULL);
	main_unknown = false;
}
