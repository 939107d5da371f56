/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Planted bugs, each beside the same program without it: what finds the one
 * must let the other pass.
 */
#include "phys/objcache.h"
#include "scenarios/scenario.h"
#include "sync/atomic.h"

/* ---- freeing what readers under RCU may still use --------------------------------- */

struct rcu_item {
	struct mach_rcu_head head;
	u32 value;
	bool *freed; /* the finish looks whether it was */
};

struct rcu_free {
	struct rcu_item *current; /* (A) */
	struct rcu_item items[2];
	bool freed;
};

static int rcu_free_setup(void *state)
{
	struct rcu_free *s = state;

	s->items[0].value = 1;
	s->items[0].freed = &s->freed;
	s->items[1].value = 2;
	s->current = &s->items[0];
	scenario_name_field(s, current);
	scenario_name(&s->items[0], sizeof(s->items[0]), 0, "old item");
	scenario_name(&s->items[1], sizeof(s->items[1]), 0, "new item");
	return 0;
}

static void rcu_reader(struct rcu_free *s)
{
	struct rcu_item *item;

	mach_rcu_read_lock();
	item = rcu_load(&s->current);
	scenario_expect(atomic_load(&item->value) != 0);
	mach_rcu_read_unlock();
}

static void item_free(struct mach_rcu_head *head)
{
	struct rcu_item *item = container_of(head, struct rcu_item, head);

	*item->freed = true;
	mach_note_free(item, sizeof(*item));
}

static void rcu_free_body(void *state, unsigned body)
{
	struct rcu_free *s = state;
	struct rcu_item *old = &s->items[0];

	if (body > 0) {
		rcu_reader(s);
		return;
	}
	rcu_publish(&s->current, &s->items[1]);
	mach_call_rcu(&old->head, item_free);
}

static void rcu_free_early_body(void *state, unsigned body)
{
	struct rcu_free *s = state;

	if (body > 0) {
		rcu_reader(s);
		return;
	}
	rcu_publish(&s->current, &s->items[1]);
	item_free(&s->items[0].head);
}

static void rcu_free_finish(void *state)
{
	struct rcu_free *s = state;

	mach_rcu_barrier();
	scenario_expect(s->freed);
}

const struct scenario scenario_rcu_free = {
	.name = "rcu-free",
	.shows = "an item is replaced and freed after a grace period: readers never see it freed",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct rcu_free),
	.setup = rcu_free_setup,
	.body = rcu_free_body,
	.finish = rcu_free_finish,
};

const struct scenario scenario_rcu_free_early = {
	.name = "rcu-free-early",
	.shows = "the same, freed at once: a reader may still hold it",
	.finds = "use-after-free",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct rcu_free),
	.setup = rcu_free_setup,
	.body = rcu_free_early_body,
	.finish = rcu_free_finish,
};

/* ---- two locks in two orders -------------------------------------------------------------- */

struct abba {
	struct mach_mutex a, b;
	u32 count;
};

static int abba_setup(void *state)
{
	struct abba *s = state;

	scenario_name_field(s, a);
	scenario_name_field(s, b);
	scenario_name_field(s, count);
	return 0;
}

static void with_both(struct abba *s, struct mach_mutex *first, struct mach_mutex *second)
{
	mach_mutex_lock(first);
	mach_mutex_lock(second);
	s->count++;
	mach_mutex_unlock(second);
	mach_mutex_unlock(first);
}

static void abba_ordered_body(void *state, unsigned body)
{
	struct abba *s = state;

	(void)body;
	with_both(s, &s->a, &s->b);
}

static void abba_deadlock_body(void *state, unsigned body)
{
	struct abba *s = state;

	if (body == 0)
		with_both(s, &s->a, &s->b);
	else
		with_both(s, &s->b, &s->a);
}

static void abba_finish(void *state)
{
	const struct abba *s = state;

	scenario_expect(s->count == 2);
}

const struct scenario scenario_abba_ordered = {
	.name = "abba-ordered",
	.shows = "two mutexes taken in one order",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct abba),
	.setup = abba_setup,
	.body = abba_ordered_body,
	.finish = abba_finish,
};

const struct scenario scenario_abba_deadlock = {
	.name = "abba-deadlock",
	.shows = "two mutexes taken in two orders",
	.finds = "deadlock",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct abba),
	.setup = abba_setup,
	.body = abba_deadlock_body,
	.finish = abba_finish,
};

/* ---- waiting for a flag ------------------------------------------------------------------------ */

struct wakeup {
	u32 flag;
	u32 events; /* counts what is worth waking up for */
};

static int wakeup_setup(void *state)
{
	struct wakeup *s = state;

	scenario_name_field(s, flag);
	scenario_name_field(s, events);
	return 0;
}

static void raise_flag(struct wakeup *s)
{
	atomic_store_release(&s->flag, 1u);
	atomic_fetch_add(&s->events, 1u);
	mach_wake(&s->events, 1);
}

/* The count is read before the flag: an event in between ends the wait. */
static void wakeup_body(void *state, unsigned body)
{
	struct wakeup *s = state;
	u32 events;

	if (body == 0) {
		raise_flag(s);
		return;
	}
	for (;;) {
		events = atomic_load_acquire(&s->events);
		if (atomic_load_acquire(&s->flag))
			return;
		mach_wait(&s->events, events);
	}
}

/* The other way round: the event may come between the two loads. */
static void lost_wakeup_body(void *state, unsigned body)
{
	struct wakeup *s = state;

	if (body == 0) {
		raise_flag(s);
		return;
	}
	while (!atomic_load_acquire(&s->flag)) {
		u32 events = atomic_load_acquire(&s->events);

		mach_wait(&s->events, events);
	}
}

const struct scenario scenario_wakeup = {
	.name = "wakeup",
	.shows = "a flag is waited for, the count of events read first",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct wakeup),
	.setup = wakeup_setup,
	.body = wakeup_body,
};

const struct scenario scenario_lost_wakeup = {
	.name = "lost-wakeup",
	.shows = "the same, the count read after the flag",
	.finds = "lost-wakeup",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct wakeup),
	.setup = wakeup_setup,
	.body = lost_wakeup_body,
};

/* ---- two install one object ------------------------------------------------------------------------ */

struct install {
	struct phys phys;
	struct objcache cache;
	void *installed; /* (A) */
};

static int install_setup(void *state)
{
	struct install *s = state;
	int ret = phys_init(&s->phys, 32, SCENARIO_INSTANCE_CPUS(2));

	if (ret)
		return ret;
	ret = objcache_init(&s->cache, &s->phys, "thing", 32, 8);
	if (ret)
		phys_fini(&s->phys);
	scenario_name_field(s, installed);
	return ret;
}

static void install(struct install *s, bool forgets)
{
	void *thing = objcache_alloc(&s->cache);
	void *none = NULL;

	if (!thing)
		return;
	if (!atomic_cas(&s->installed, &none, thing) && !forgets)
		objcache_free(&s->cache, thing);
}

static void install_once_body(void *state, unsigned body)
{
	(void)body;
	install(state, false);
}

static void install_leak_body(void *state, unsigned body)
{
	struct install *s = state;

	(void)body;
	/* Looks first, so that only who comes in between leaks. */
	if (!atomic_load(&s->installed))
		install(s, true);
}

static void install_finish(void *state)
{
	struct install *s = state;

	objcache_free(&s->cache, s->installed);
	scenario_expect_no_leak(objcache_fini(&s->cache), "objects of the cache");
	scenario_expect_no_leak(phys_fini(&s->phys), "frames");
}

const struct scenario scenario_install_once = {
	.name = "install-once",
	.shows = "two install an object, the loser frees its own",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct install),
	.setup = install_setup,
	.body = install_once_body,
	.finish = install_finish,
};

const struct scenario scenario_install_leak = {
	.name = "install-leak",
	.shows = "the same, the loser forgets its own",
	.finds = "leak",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct install),
	.setup = install_setup,
	.body = install_leak_body,
	.finish = install_finish,
};
