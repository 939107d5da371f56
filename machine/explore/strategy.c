/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is chosen.  A strategy sees the enabled actors (and, in xp.actors, what
 * each will do next) and names one.  A systematic search is one more of these.
 *
 * random: each run has its own rate of switching, at every step (then every
 *         enabled actor is as likely: a uniform walk) or at every 2nd, 4th, ...
 *         32nd, evenly drawn.  A uniform walk alone hardly ever lets one CPU do
 *         a hundred steps while another stands still.
 * pct:    probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi,
 *         Nagarakatte 2010): random priorities, lowered at depth-1 random
 *         steps; finds a bug of that depth with probability at least
 *         1/(n * k^(depth-1)).  An actor that relaxes goes to the back, else
 *         one that spins would never be overtaken.
 * replay: the default policy, but for a list of deviations.
 */
#include "explore/world.h"

#define NR_ACTORS (XP_INTERRUPTS + XP_NR_FIBERS)

#define MAX_RATE_BITS 6u

static uint64_t random_state;
static unsigned rate_mask; /* a switch where the random bits under it are 0 */

/* xorshift64* (Vigna). */
static inline uint64_t next_random(void)
{
	uint64_t x = random_state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random_state = x;
	return x * UINT64_C(2685821657736338717);
}

/* Below n, near enough to even. */
static inline unsigned random_below(unsigned n)
{
	return (unsigned)(((next_random() >> 32) * n) >> 32);
}

static void random_seed(uint64_t seed)
{
	random_state = xp_mix(seed + XP_HASH_FACTOR) | 1;
}

/* ---- random -------------------------------------------------------------------- */

static void random_begin(uint64_t seed)
{
	random_seed(seed);
	rate_mask = (1u << random_below(MAX_RATE_BITS)) - 1;
}

static unsigned random_choose(uint64_t may)
{
	uint64_t random = next_random();
	unsigned skip;

	if ((may & (may - 1)) == 0)
		return (unsigned)__builtin_ctzll(may);
	if ((random >> 58 & rate_mask) && (may & XP_BIT(xp.current->index)))
		return xp.current->index;
	skip = random_below((unsigned)__builtin_popcountll(may));
	while (skip-- > 0)
		may &= may - 1;
	return (unsigned)__builtin_ctzll(may);
}

static void nothing_relaxed(unsigned actor)
{
	(void)actor;
}

const struct xp_strategy xp_random_walk = {
	.name = "random",
	.begin = random_begin,
	.choose = random_choose,
	.relaxed = nothing_relaxed,
};

/* ---- pct -------------------------------------------------------------------------- */

#define MAX_DEPTH 16u

static struct {
	unsigned depth;
	uint64_t expected_steps;
	int64_t priority[NR_ACTORS];
	uint64_t change_at[MAX_DEPTH];
	unsigned nr_changes; /* not yet met; change_at is sorted, largest first */
	int64_t lowest;      /* priority given to the last that relaxed */
} pct;

void xp_pct_configure(unsigned depth, uint64_t expected_steps)
{
	pct.depth = depth < 1 ? 1 : depth > MAX_DEPTH ? MAX_DEPTH : depth;
	pct.expected_steps = expected_steps < 1 ? 1 : expected_steps;
}

static void pct_begin(uint64_t seed)
{
	random_seed(seed);
	for (unsigned i = 0; i < NR_ACTORS; i++)
		pct.priority[i] = (int64_t)((next_random() >> 8) + MAX_DEPTH);
	pct.nr_changes = pct.depth - 1;
	for (unsigned i = 0; i < pct.nr_changes; i++) {
		uint64_t step = 1 + random_below((unsigned)pct.expected_steps);
		unsigned at = i;

		for (; at > 0 && pct.change_at[at - 1] < step; at--)
			pct.change_at[at] = pct.change_at[at - 1];
		pct.change_at[at] = step;
	}
	pct.lowest = 0;
}

static unsigned pct_highest(uint64_t may)
{
	unsigned best = (unsigned)__builtin_ctzll(may);

	for (may &= may - 1; may; may &= may - 1) {
		unsigned i = (unsigned)__builtin_ctzll(may);

		if (pct.priority[i] > pct.priority[best])
			best = i;
	}
	return best;
}

static unsigned pct_choose(uint64_t may)
{
	unsigned best = pct_highest(may);

	while (pct.nr_changes > 0 && pct.change_at[pct.nr_changes - 1] <= xp.steps) {
		pct.priority[best] = (int64_t)pct.nr_changes--;
		best = pct_highest(may);
	}
	return best;
}

static void pct_relaxed(unsigned actor)
{
	pct.priority[actor] = --pct.lowest;
}

const struct xp_strategy xp_pct = {
	.name = "pct",
	.begin = pct_begin,
	.choose = pct_choose,
	.relaxed = pct_relaxed,
};

/* ---- replay --------------------------------------------------------------------------- */

static struct {
	const struct xp_deviation *next, *end;
	const struct xp_deviation *list;
	size_t nr;
	bool exact;
} replay;

void xp_replay_configure(const struct xp_deviation *list, size_t nr, bool exact)
{
	replay.list = list;
	replay.nr = nr;
	replay.exact = exact;
}

static void replay_begin(uint64_t seed)
{
	(void)seed;
	replay.next = replay.list;
	replay.end = replay.list + replay.nr;
}

unsigned xp_default_choice(uint64_t may)
{
	uint64_t fibers = may & (XP_BIT(XP_INTERRUPTS) - 1);

	if (may & XP_BIT(xp.current->index))
		return xp.current->index;
	return (unsigned)__builtin_ctzll(fibers ? fibers : may);
}

static unsigned replay_choose(uint64_t may)
{
	const struct xp_deviation *d = replay.next;

	while (d < replay.end && d->step < xp.steps)
		d++;
	replay.next = d;
	if (d == replay.end || d->step > xp.steps)
		return xp_default_choice(may);
	replay.next++;
	if (d->actor < 64 && (may & XP_BIT(d->actor)))
		return d->actor;
	if (replay.exact) {
		char name[32];

		xp_name_actor(name, sizeof(name), d->actor);
		xp_fail(EXPLORE_DIVERGED, "the replay diverged at step %llu: %s cannot run",
			(unsigned long long)xp.steps, name);
	}
	return xp_default_choice(may);
}

const struct xp_strategy xp_replay = {
	.name = "replay",
	.begin = replay_begin,
	.choose = replay_choose,
	.relaxed = nothing_relaxed,
};
