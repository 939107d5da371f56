/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler of the explore machine: who may run, who runs next, how a run
 * ends.  It has no context of its own: a fiber that comes to a scheduling
 * point chooses the next actor and switches straight to it.
 *
 * Guarantees: an actor's operation is done in the step it was chosen for, with
 * nothing in between; an actor is chosen only while its pending operation can
 * be done; a run ends when every body has returned and every RCU callback has
 * been called, or with a failure.
 */
#include <stdlib.h>
#include <string.h>

#include "explore/fiber.h"

struct xp_world xp = {
	.current = &xp.actors[0],
	.rcu_last = &xp.rcu_first,
	.max_steps = UINT64_MAX,
};

static void (*body_of_program)(void *context, unsigned cpu);
static void (*alone_fn)(void *context);
static void *body_context;

_Noreturn void xp_fail(enum explore_failure kind, const char *format, ...)
{
	va_list args;

	xp.failure.kind = kind;
	va_start(args, format);
	vsnprintf(xp.failure.text, sizeof(xp.failure.text), format, args);
	va_end(args);
	if (xp.exploring) {
		if (xp.recording)
			xp_record_event((struct xp_event){ .step = xp.steps,
				.actor = (uint8_t)xp.current->index, .kind = XP_FAILS,
				.site = xp.current->pending.site });
		xp.scheduling = false;
		xp_fiber_leave();
	}
	if (xp.stop_handler)
		xp.stop_handler("explore", 0, xp.failure.text);
	fprintf(stderr, "explore: %s\n", xp.failure.text);
	abort();
}

/* ---- who is enabled ---------------------------------------------------------- */

bool xp_grantable(const struct xp_actor *actor)
{
	const struct xp_op *op = &actor->pending;

	switch ((enum xp_kind)op->kind) {
	case XP_SPIN_LOCK:
		return ((const volatile struct mach_spin *)op->addr)->holder == 0;
	case XP_MUTEX_LOCK:
		return ((const volatile struct mach_mutex *)op->addr)->holder == 0;
	case XP_READ_LOCK: {
		const volatile struct mach_rw *rw = op->addr;

		return rw->writer == 0 && rw->writers_queued == 0;
	}
	case XP_WRITE_QUEUE: {
		const volatile struct mach_rw *rw = op->addr;

		return rw->writer == 0 && rw->readers == 0;
	}
	case XP_PARKED: /* mach_wake() clears it */
		return op->arg == 0;
	case XP_RCU_SYNC:
		return xp_rcu_period_over(op->arg);
	case XP_RCU_BARRIER:
		return xp.nr_rcu_called >= op->arg;
	case XP_RCU_CALLBACK:
		return xp.rcu_first && xp_rcu_period_over(xp.rcu_first->stamp);
	case XP_FLUSH_DONE:
		return xp_mmu_flush_done(actor);
	default:
		return true;
	}
}

void xp_recheck(const volatile void *addr)
{
	uint64_t left = xp.blocked;

	while (left) {
		unsigned i = (unsigned)__builtin_ctzll(left);
		struct xp_actor *actor = &xp.actors[i];

		left &= left - 1;
		if (addr && actor->pending.addr != addr)
			continue;
		if (xp_grantable(actor))
			xp.enabled |= XP_BIT(i);
		else
			xp.enabled &= ~XP_BIT(i);
	}
}

/* ---- the end of a run ----------------------------------------------------------- */

static void describe_blocked(char *text, size_t bytes)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < xp.nr_cpus; i++) {
		const struct xp_actor *actor = &xp.actors[i];
		const struct xp_op *op = &actor->pending;
		char where[96];
		int n;

		if (actor->life == XP_DONE)
			continue;
		xp_name_address(where, sizeof(where), op->addr);
		n = snprintf(text + used, bytes - used, "%scpu%u %s %s",
			     used ? ", " : "", i,
			     op->kind == XP_PARKED ? "is parked on" :
			     op->kind == XP_WRITE_QUEUE ? "waits: write lock" :
			     op->kind == XP_FLUSH_DONE ? "waits for its flush of" :
							 "waits:",
			     op->kind == XP_PARKED || op->kind == XP_FLUSH_DONE ?
				     where : xp_kind_name(op->kind));
		used += n > 0 ? (size_t)n : 0;
		if (used + 1 >= bytes)
			return;
		if (op->kind == XP_PARKED || op->kind == XP_FLUSH_DONE)
			continue;
		n = snprintf(text + used, bytes - used, " %s", where);
		used += n > 0 ? (size_t)n : 0;
		if (actor->nr_held > 0 && used + 1 < bytes) {
			xp_name_address(where, sizeof(where),
					actor->held[actor->nr_held - 1].lock);
			n = snprintf(text + used, bytes - used, " holding %s", where);
			used += n > 0 ? (size_t)n : 0;
		}
		if (used + 1 >= bytes)
			return;
	}
}

/* Nobody is enabled: the run is over, well or not. */
static _Noreturn void nobody_enabled(void)
{
	bool all_parked = true, all_done = true;
	char text[400];

	for (unsigned i = 0; i < xp.nr_cpus; i++) {
		const struct xp_actor *actor = &xp.actors[i];

		all_done &= actor->life == XP_DONE;
		all_parked &= actor->life == XP_DONE || actor->pending.kind == XP_PARKED;
	}
	if (all_done && xp_rcu_idle()) {
		xp.scheduling = false;
		xp_fiber_leave();
	}
	if (all_done)
		xp_fail(EXPLORE_DEADLOCK, "the RCU callbacks do not come to an end");
	describe_blocked(text, sizeof(text));
	if (all_parked)
		xp_fail(EXPLORE_LOST_WAKEUP, "lost wakeup: nobody is left to wake them: %s",
			text);
	xp_fail(EXPLORE_DEADLOCK, "deadlock: %s", text);
}

/* ---- who runs next ------------------------------------------------------------------ */

static inline unsigned choose_next(void)
{
	uint64_t may = xp.enabled & ~xp.relaxed;
	unsigned next;

	if (xp_unlikely(may == 0)) {
		may = xp.enabled;
		if (may == 0)
			nobody_enabled();
	}
	if (xp_unlikely(++xp.steps > xp.max_steps))
		xp_fail(EXPLORE_LIVELOCK, "no end in sight after %llu steps",
			(unsigned long long)xp.max_steps);
	next = xp.strategy->choose(may);
	if (xp_unlikely((xp.steps & (xp.steps - 1)) == 0))
		xp.checkpoints[__builtin_ctzll(xp.steps) % (int)XP_NR_CHECKPOINTS] =
			(uint16_t)xp.hash;
	if (xp_unlikely(xp.recording))
		xp_record_choice(may, next);
	xp.relaxed = 0;
	return next;
}

void xp_schedule(void)
{
	struct xp_actor *me = xp.current;
	struct xp_actor *to;
	unsigned next;

	while (xp_unlikely((next = choose_next()) >= XP_INTERRUPTS))
		xp_mmu_deliver(next - XP_INTERRUPTS);
	to = &xp.actors[next];
	if (to == me)
		return;
	xp.current = to;
	xp_fiber_switch(me, to);
}

void xp_block(enum xp_kind kind, const volatile void *addr, uint64_t arg,
	      const void *site)
{
	struct xp_actor *me = xp.current;
	uint64_t bit = XP_BIT(me->index);

	me->pending = (struct xp_op){ .addr = addr, .site = site, .arg = arg,
		.kind = (uint8_t)kind, .write = true };
	if (!xp.scheduling) {
		if (xp_grantable(me))
			return;
		xp_fail(EXPLORE_DEADLOCK, "%s would wait for ever: no other CPU runs",
			xp_kind_name(kind));
	}
	me->life = XP_BLOCKED;
	xp.blocked |= bit;
	if (!xp_grantable(me))
		xp.enabled &= ~bit;
	xp_schedule();
	xp.blocked &= ~bit;
	me->life = XP_READY;
}

/* ---- fibers' first and last steps ------------------------------------------------------ */

static _Noreturn void body_is_over(struct xp_actor *me)
{
	if (me->nr_held > 0) {
		char lock[96];

		xp_name_address(lock, sizeof(lock), me->held[me->nr_held - 1].lock);
		xp_fail(EXPLORE_LOCK_MISUSE, "cpu%u returned holding %s", me->index, lock);
	}
	if (me->rcu_nesting > 0)
		xp_fail(EXPLORE_RCU_MISUSE, "cpu%u returned inside an RCU section",
			me->index);
	xp_did(XP_END, NULL, 0, 0, 0, false, NULL);
	me->life = XP_DONE;
	xp.enabled &= ~XP_BIT(me->index);
	xp_schedule();
	__builtin_unreachable();
}

static _Noreturn void fiber_entry(void)
{
	struct xp_actor *me = xp.current;

	xp_fiber_arrived();
	xp_did(XP_START, NULL, 0, 0, 0, false, NULL);
	if (me->index == xp.nr_cpus)
		xp_rcu_worker();
	else
		body_of_program(body_context, me->index);
	body_is_over(me);
}

static _Noreturn void alone_entry(void)
{
	xp_fiber_arrived();
	alone_fn(body_context);
	xp_fiber_leave();
}

static void actor_reset(struct xp_actor *actor, unsigned index)
{
	actor->pending = (struct xp_op){ .kind = XP_START };
	actor->rcu_nesting = 0;
	actor->index = index;
	actor->nr_held = 0;
	actor->nr_spins_held = 0;
	actor->fail_countdown = 0;
	actor->life = XP_READY;
	actor->cost = index == 0 ? xp.state.cost : NULL;
}

void xp_sched_begin(void)
{
	for (unsigned i = 0; i <= xp.nr_cpus; i++)
		actor_reset(&xp.actors[i], i);
	xp.enabled = 0;
	xp.relaxed = 0;
	xp.blocked = 0;
	xp.steps = 0;
	xp.hash = 0;
	xp.rcu_clock = 0;
	xp.in_section = 0;
	xp.rcu_first = NULL;
	xp.rcu_last = &xp.rcu_first;
	xp.nr_rcu_queued = 0;
	xp.nr_rcu_called = 0;
	xp.allocations = 0;
	xp.quarantined = 0;
	xp.parked_clock = 0;
	xp.in_access = 0;
	memset(xp.interrupts, 0, sizeof(xp.interrupts));
	memset(xp.checkpoints, 0, sizeof(xp.checkpoints));
	xp.failure.kind = EXPLORE_NONE;
	xp.last_log[0] = '\0';
	xp.scheduling = false;
	xp.current = &xp.actors[0];
}

void xp_sched_run(void (*body)(void *, unsigned), void *context)
{
	unsigned first;

	body_of_program = body;
	body_context = context;
	for (unsigned i = 0; i <= xp.nr_cpus; i++)
		xp_fiber_prepare(&xp.actors[i], fiber_entry);
	xp.enabled = XP_BIT(xp.nr_cpus) - 1;
	/* The RCU worker has nothing to do until a callback is queued. */
	xp.actors[xp.nr_cpus].pending.kind = XP_RCU_CALLBACK;
	xp.actors[xp.nr_cpus].life = XP_BLOCKED;
	xp.blocked = XP_BIT(xp.nr_cpus);
	xp.scheduling = true;
	first = choose_next();
	xp.current = &xp.actors[first];
	xp_fiber_enter(xp.current);
	xp.scheduling = false;
	xp.current = &xp.actors[0];
}

void xp_sched_alone(void (*fn)(void *), void *context)
{
	alone_fn = fn;
	body_context = context;
	xp.current = &xp.actors[0];
	xp.actors[0].life = XP_READY;
	xp_fiber_prepare(xp.current, alone_entry);
	xp_fiber_enter(xp.current);
}
