/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When are all references mappings of the writer's?  Every interleaving of small
 * programs, of a model of the proofs in core/mm/reuse.c: the words they read, in their
 * order.  The code itself is run by scenarios/cow.c, under the schedules that a search
 * reaches; here they are all.
 *
 * The folio has `here` mappings in the table that the writer has locked.  In another,
 * one thread unmaps pages (count, then references); a split that gives up maps
 * others again (references, then count) and drops its own reference; pipes hold
 * references and drop them.  Whoever takes the page for his own while a
 * pipe holds it is wrong.
 *
 * variants: threads_4k
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum proof { ENTRIES, LOCKED_RIVAL, COUNTER_RIVAL, DOUBLE_READ, NR_PROOFS };
enum agent { WRITER, ZAP, SPLIT, PIPE, NR_AGENTS };

/* What one interleaving starts from. */
struct program {
	enum proof proof;
	unsigned here, unmapped, remapped, pipes;
};

struct state {
	unsigned pc[NR_AGENTS];
	unsigned mappings, references, pipes;
	unsigned table_owner;  /* of the other table: 0 none, else an agent */
	bool rival_locked;
	unsigned updates, updating; /* the sequence counter */
	unsigned saw_mappings, saw_references, saw_updates;
	bool busy, reused;
};

struct tally {
	uint64_t nr, nr_reused, nr_wrong;
};

enum step { BLOCKED, STEPPED, DONE };

/* ---- updates of the count: one step, or three under a sequence counter ------------------ */

static bool counts_in_steps(const struct program *p)
{
	return p->proof == COUNTER_RIVAL;
}

static unsigned count_steps(const struct program *p)
{
	return counts_in_steps(p) ? 3 : 1;
}

static enum step count_step(const struct program *p, struct state *s, unsigned nth, int change)
{
	if (s->rival_locked)
		return BLOCKED;
	if (!counts_in_steps(p) || nth == 1)
		s->mappings += (unsigned)change;
	else if (nth == 0)
		s->updating++;
	if (counts_in_steps(p) && nth == 2) {
		s->updating--;
		s->updates++;
	}
	return STEPPED;
}

static bool take_table(struct state *s, unsigned agent)
{
	if (s->table_owner != 0 && s->table_owner != agent)
		return false;
	s->table_owner = agent;
	return true;
}

/* ---- the agents ---------------------------------------------------------------------- */

static enum step zap_step(const struct program *p, struct state *s)
{
	unsigned at = s->pc[ZAP];

	if (at > count_steps(p))
		return DONE;
	if (!take_table(s, ZAP))
		return BLOCKED;
	if (at < count_steps(p))
		return count_step(p, s, at, -(int)p->unmapped);
	s->references -= p->unmapped;
	s->table_owner = 0;
	return STEPPED;
}

static enum step split_step(const struct program *p, struct state *s)
{
	unsigned at = s->pc[SPLIT], last = count_steps(p) + 1;
	enum step step;

	if (at > last)
		return DONE;
	if (at == last) {
		s->references--;
		return STEPPED;
	}
	if (!take_table(s, SPLIT))
		return BLOCKED;
	if (at == 0) {
		s->references += p->remapped;
		return STEPPED;
	}
	step = count_step(p, s, at - 1, (int)p->remapped);
	if (step == STEPPED && at == last - 1)
		s->table_owner = 0;
	return step;
}

static enum step pipe_step(const struct program *p, struct state *s)
{
	if (s->pc[PIPE] == p->pipes)
		return DONE;
	s->references--;
	s->pipes--;
	return STEPPED;
}

/* What each proof reads, in order; the last step decides. */
static void entries_step(const struct program *p, struct state *s)
{
	s->reused = s->references == p->here;
}

static void locked_step(struct state *s)
{
	switch (s->pc[WRITER]) {
	case 0:
		s->rival_locked = true;
		break;
	case 1:
		s->saw_mappings = s->mappings;
		break;
	case 2:
		s->saw_references = s->references;
		break;
	default:
		s->rival_locked = false;
		s->reused = s->saw_references == s->saw_mappings;
	}
}

static void counter_step(struct state *s)
{
	switch (s->pc[WRITER]) {
	case 0:
		s->busy = s->updating != 0;
		s->saw_updates = s->updates;
		break;
	case 1:
		s->saw_mappings = s->mappings;
		break;
	case 2:
		s->saw_references = s->references;
		break;
	default:
		s->reused = !s->busy && s->updating == 0 && s->updates == s->saw_updates &&
			    s->saw_references == s->saw_mappings;
	}
}

static void double_step(struct state *s)
{
	switch (s->pc[WRITER]) {
	case 0:
		s->saw_mappings = s->mappings;
		break;
	case 1:
		s->saw_references = s->references;
		break;
	default:
		s->reused = s->saw_mappings == s->mappings &&
			    s->saw_references == s->saw_mappings;
	}
}

static const unsigned writer_steps[NR_PROOFS] = { 1, 4, 4, 3 };

static bool writer_is_done(const struct program *p, const struct state *s)
{
	return s->pc[WRITER] == writer_steps[p->proof];
}

static enum step writer_step(const struct program *p, struct state *s)
{
	if (writer_is_done(p, s))
		return DONE;
	if (p->proof == ENTRIES)
		entries_step(p, s);
	else if (p->proof == LOCKED_RIVAL)
		locked_step(s);
	else if (p->proof == COUNTER_RIVAL)
		counter_step(s);
	else
		double_step(s);
	return STEPPED;
}

static enum step agent_step(const struct program *p, struct state *s, enum agent agent)
{
	switch (agent) {
	case WRITER:
		return writer_step(p, s);
	case ZAP:
		return zap_step(p, s);
	case SPLIT:
		return split_step(p, s);
	default:
		return pipe_step(p, s);
	}
}

/* ---- all interleavings ------------------------------------------------------------------ */

/* Once the writer has decided, the rest is of no interest. */
static void explore(const struct program *p, const struct state *from, struct tally *tally)
{
	for (unsigned agent = 0; agent < NR_AGENTS; agent++) {
		struct state s = *from;

		if (agent_step(p, &s, (enum agent)agent) != STEPPED)
			continue;
		s.pc[agent]++;
		assert_true(s.references >= s.mappings);
		if (writer_is_done(p, &s)) {
			tally->nr++;
			tally->nr_reused += s.reused;
			tally->nr_wrong += s.reused && s.pipes > 0;
			continue;
		}
		explore(p, &s, tally);
	}
}

static struct tally explore_all(enum proof proof)
{
	struct tally tally = { 0 };

	for (unsigned here = 1; here <= 2; here++)
		for (unsigned unmapped = 1; unmapped <= 3; unmapped++)
			for (unsigned remapped = 0; remapped <= 3; remapped++)
				for (unsigned pipes = 1; pipes <= 2; pipes++) {
					const struct program p = { proof, here, unmapped,
								   remapped, pipes };
					const struct state s = {
						.mappings = here + unmapped,
						.references = here + unmapped + 1 + pipes,
						.pipes = pipes,
					};

					explore(&p, &s, &tally);
				}
	return tally;
}

static void only_the_double_read_is_wrong(void **state)
{
	static const char *const names[NR_PROOFS] = {
		"count-entries", "rival under a lock", "rival with a counter", "double-read",
	};

	(void)state;
	for (unsigned proof = 0; proof < NR_PROOFS; proof++) {
		struct tally tally = explore_all((enum proof)proof);

		print_message("%-20s %8llu interleavings, %7llu reuse, %5llu wrong\n",
			      names[proof], (unsigned long long)tally.nr,
			      (unsigned long long)tally.nr_reused,
			      (unsigned long long)tally.nr_wrong);
		assert_int_equal(tally.nr_wrong > 0, proof == DOUBLE_READ);
		assert_true(tally.nr_reused > tally.nr_wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_double_read_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
