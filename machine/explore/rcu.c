/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read-copy-update, modelled.  Every section and every callback has a stamp
 * of one clock; a grace period that began at stamp t is over when no section
 * that began before t is open.  A callback becomes possible at that moment and
 * not before, and is a step of a CPU of its own, which the scheduler may put
 * off as long as it likes: both the earliest and a late end are explored.
 *
 * Solo, callbacks run in mach_synchronize_rcu() and mach_rcu_barrier(), on the
 * caller: there it holds no lock and is inside no structure.
 */
#include "explore/world.h"

bool xp_rcu_period_over(uint64_t stamp)
{
	uint64_t left = xp.in_section;

	while (left) {
		unsigned i = (unsigned)__builtin_ctzll(left);

		left &= left - 1;
		if (xp.actors[i].rcu_start < stamp)
			return false;
	}
	return true;
}

bool xp_rcu_idle(void)
{
	const struct xp_actor *worker = &xp.actors[xp.nr_cpus];

	return !xp.rcu_first && worker->pending.kind == XP_RCU_CALLBACK;
}

void mach_rcu_read_lock(void)
{
	struct xp_actor *me = xp.current;

	if (me->rcu_nesting++ > 0)
		return;
	me->rcu_nesting = 0;
	xp_point(XP_RCU_LOCK, NULL, 0, false, XP_SITE);
	me->rcu_nesting = 1;
	me->rcu_start = ++xp.rcu_clock;
	xp.in_section |= XP_BIT(me->index);
	xp_did(XP_RCU_LOCK, NULL, 0, 0, 0, false, XP_SITE);
}

void mach_rcu_read_unlock(void)
{
	struct xp_actor *me = xp.current;

	if (xp_unlikely(me->rcu_nesting == 0))
		xp_fail(EXPLORE_RCU_MISUSE, "cpu%u ends an RCU section it is not in",
			me->index);
	if (me->rcu_nesting > 1) {
		me->rcu_nesting--;
		return;
	}
	xp_point(XP_RCU_UNLOCK, NULL, 0, false, XP_SITE);
	me->rcu_nesting = 0;
	xp.in_section &= ~XP_BIT(me->index);
	xp_did(XP_RCU_UNLOCK, NULL, 0, 0, 0, false, XP_SITE);
	xp_recheck(NULL);
}

void mach_call_rcu(struct mach_rcu_head *head, void (*fn)(struct mach_rcu_head *head))
{
	xp_point(XP_RCU_CALL, head, sizeof(*head), true, XP_SITE);
	xp_check_access(head, sizeof(*head), "queues an RCU callback in");
	if (xp_unlikely(xp_rcu_queued_in(head, 1)))
		xp_fail(EXPLORE_RCU_MISUSE, "cpu%u queues an RCU callback that is queued",
			xp.current->index);
	head->next = NULL;
	head->fn = fn;
	head->stamp = ++xp.rcu_clock;
	*xp.rcu_last = head;
	xp.rcu_last = &head->next;
	xp.nr_rcu_queued++;
	xp_did(XP_RCU_CALL, head, sizeof(*head), 0, (uint64_t)(uintptr_t)fn, false, XP_SITE);
	xp_recheck(NULL);
}

bool xp_rcu_queued_in(const void *mem, size_t bytes)
{
	unsigned looked = 0;

	for (const struct mach_rcu_head *head = xp.rcu_first; head && looked < 64;
	     head = head->next, looked++)
		if ((uint64_t)((const char *)head - (const char *)mem) < bytes)
			return true;
	return false;
}

/* Pre: the queue is not empty. */
static void call_first(void)
{
	struct mach_rcu_head *head = xp.rcu_first;

	xp.rcu_first = head->next;
	if (!xp.rcu_first)
		xp.rcu_last = &xp.rcu_first;
	head->next = NULL;
	head->fn(head);
	xp.nr_rcu_called++;
}

void xp_rcu_worker(void)
{
	for (;;) {
		struct mach_rcu_head *head;

		xp_block(XP_RCU_CALLBACK, NULL, 0, NULL);
		head = xp.rcu_first;
		xp_did(XP_RCU_CALLBACK, head, sizeof(*head), 0,
		       (uint64_t)(uintptr_t)head->fn, false, (const void *)head->fn);
		call_first();
		xp_recheck(NULL);
	}
}

static void call_all_solo(void)
{
	while (xp.rcu_first)
		call_first();
}

static void must_be_outside(const char *what)
{
	if (xp_unlikely(xp.current->rcu_nesting > 0))
		xp_fail(EXPLORE_RCU_MISUSE, "cpu%u calls %s inside an RCU section",
			xp.current->index, what);
	if (xp_unlikely(xp.current->nr_spins_held > 0))
		xp_fail(EXPLORE_LOCK_MISUSE, "cpu%u calls %s while it holds a spin lock",
			xp.current->index, what);
}

void mach_synchronize_rcu(void)
{
	must_be_outside("mach_synchronize_rcu");
	if (!xp.scheduling) {
		call_all_solo();
		return;
	}
	xp_point(XP_FENCE, NULL, 0, false, XP_SITE);
	xp_block(XP_RCU_SYNC, NULL, ++xp.rcu_clock, XP_SITE);
	xp_did(XP_RCU_SYNC, NULL, 0, 0, 0, false, XP_SITE);
}

void mach_rcu_barrier(void)
{
	must_be_outside("mach_rcu_barrier");
	if (!xp.scheduling) {
		call_all_solo();
		return;
	}
	xp_point(XP_FENCE, NULL, 0, false, XP_SITE);
	xp_block(XP_RCU_BARRIER, NULL, xp.nr_rcu_queued, XP_SITE);
	xp_did(XP_RCU_BARRIER, NULL, 0, 0, 0, false, XP_SITE);
}
