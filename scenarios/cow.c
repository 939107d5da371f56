/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When are all references to a large folio mappings of the writer's?  The
 * proofs of core/mm/reuse.c, asked while everything else that may happen to the
 * folio happens.
 *
 *     table x   page 0, which the write is to
 *     table y   pages 1 and 2 mapped, 3 and 4 migration entries: a folio split is
 *               at work, and is about to find that it has to give up
 *
 * References: one for each of the three mappings, the split's, and one of a pipe
 * that a child filled with page 0 before it went.  The pipe must go on holding what
 * the child saw.  CPU 0 writes; then it reads the pipe, closes it, gives pages 3
 * and 4 back (MADV_DONTNEED), and writes again.  CPU 1 runs a thread that gives pages
 * 1 and 2 back, and then the one that splits.
 *
 * Equal numbers do not tell that nothing happened between.  Three mappings at first;
 * pages 1 and 2 go, so that there is one, and three references; the split puts
 * pages 3 and 4 back: three mappings again.  Who read 3 before, 3 in the middle and
 * 3 after writes into the pipe.
 */
#include "mm/reuse.h"
#include "scenarios/scenario.h"

enum { ORDER = 3, NR = 1 << ORDER, FIRST_PFN = 64 };

struct reuse_race {
	struct rmap rmap;          /* its sharing alone is used */
	struct rmap_owner owner;
	struct vma vma;
	struct frame frames[NR];
	struct spinlock x_lock, y_lock;
	entry_t x[NR];
	bool y_mapped[NR];         /* (y_lock) by the first of two pages */
	u32 byte;                  /* (A) what page 0 holds */
	bool reused;
};

static struct folio *folio_of(struct reuse_race *s)
{
	return (struct folio *)(void *)&s->frames[0];
}

/* References are taken before and dropped after, as everywhere. */
static void map_pages(struct reuse_race *s, u32 first, u32 nr)
{
	folio_get_n(folio_of(s), nr);
	scenario_expect(sharing_map(&s->rmap.sharing, folio_sharing(folio_of(s)), ORDER,
				    &s->owner.sharing, first, nr) == 0);
}

static void unmap_pages(struct reuse_race *s, u32 first, u32 nr)
{
	sharing_unmap(&s->rmap.sharing, folio_sharing(folio_of(s)), ORDER, &s->owner.sharing,
		      first, nr);
	scenario_expect(!refcount_put(&folio_of(s)->refs, nr));
}

static void reuse_name(struct reuse_race *s)
{
	scenario_name_field(s, x_lock);
	scenario_name_field(s, y_lock);
	scenario_name_field(s, byte);
	scenario_name(&folio_of(s)->refs, sizeof(struct refcount), 0, "references");
	scenario_name(&s->frames[1], 3 * sizeof(struct frame), 0, "mappings");
}

static int reuse_setup(struct reuse_race *s, const struct sharing_ops *ops)
{
	struct folio *folio = folio_of(s);
	int ret = sharing_init(&s->rmap.sharing, ops, 2);

	if (ret == 0)
		ret = sharing_mm_init(&s->rmap.sharing, &s->owner.sharing);
	if (ret == 0)
		ret = sharing_folio_init(&s->rmap.sharing, folio_sharing(folio), ORDER);
	if (ret)
		return ret;
	s->owner.rmap = &s->rmap;
	s->vma.owner = &s->owner;
	spin_init(&s->x_lock, LOCK_RANK_pte);
	spin_init(&s->y_lock, LOCK_RANK_pte);
	folio->order = ORDER;
	s->x[0] = entry_make(pfn_make(FIRST_PFN), QUIRE_ENTRY_PRESENT);
	s->y_mapped[1] = true;
	s->byte = 1;
	refcount_init(&folio->refs, 3 + 2);
	sharing_map_new(&s->rmap.sharing, folio_sharing(folio), ORDER, &s->owner.sharing, 0, 3);
	reuse_name(s);
	return 0;
}

/* ---- who does what ------------------------------------------------------------------ */

/* A write to page 0: where it is, or to a copy that nobody looks at here. */
static void write_fault(struct reuse_race *s, enum quire_alternative how)
{
	const struct neighbours n = { .slots = s->x, .nr = NR, .first_pfn = FIRST_PFN };

	spin_lock(&s->x_lock);
	s->reused = reuse_proof(how, folio_of(s), &s->vma, &n) != REUSE_NOTHING;
	if (s->reused)
		atomic_store(&s->byte, 2u);
	spin_unlock(&s->x_lock);
}

/* MADV_DONTNEED of two pages, if they are mapped. */
static void zap(struct reuse_race *s, u32 first)
{
	spin_lock(&s->y_lock);
	if (s->y_mapped[first]) {
		unmap_pages(s, first, 2);
		s->y_mapped[first] = false;
	}
	spin_unlock(&s->y_lock);
}

/* The split saw the pipe's reference: what it had unmapped is mapped again. */
static void give_up_split(struct reuse_race *s)
{
	spin_lock(&s->y_lock);
	map_pages(s, 3, 2);
	s->y_mapped[3] = true;
	spin_unlock(&s->y_lock);
	scenario_expect(!refcount_put(&folio_of(s)->refs, 1));
}

static void drain_pipe(struct reuse_race *s)
{
	u32 byte = atomic_load(&s->byte);

	if (byte != 1)
		scenario_fail("the pipe holds %u, which was stored after it was filled", byte);
	scenario_expect(!refcount_put(&folio_of(s)->refs, 1));
}

static void reuse_body(struct reuse_race *s, unsigned body, enum quire_alternative how)
{
	if (body == 0) {
		write_fault(s, how);
		drain_pipe(s);
		zap(s, 3);
		write_fault(s, how);
	} else {
		zap(s, 1);
		give_up_split(s);
	}
}

/* Whether the second write was to the page: the first must not be. */
static uint64_t reuse_outcome(void *state)
{
	struct reuse_race *s = state;

	return s->reused;
}

/* Only page 0 is left: now whoever could not prove it before can. */
static void reuse_finish(struct reuse_race *s, enum quire_alternative how)
{
	struct folio *folio = folio_of(s);

	zap(s, 3);
	scenario_expect(refcount_read(&folio->refs) == 1);
	write_fault(s, how);
	scenario_expect(s->reused);
	sharing_unmap(&s->rmap.sharing, folio_sharing(folio), ORDER, &s->owner.sharing, 0, 1);
	scenario_expect(sharing_split(&s->rmap.sharing, folio_sharing(folio)) == 0);
	scenario_expect(sharing_mm_put(&s->rmap.sharing, &s->owner.sharing));
	scenario_expect_no_leak(sharing_fini(&s->rmap.sharing), "ids");
}

/* ---- by each proof, with each kind of rival --------------------------------------------- */

#define REUSE_SCENARIO(id, text, rival, how, what, bug)                \
	static int id##_setup(void *state)                             \
	{                                                              \
		return reuse_setup(state, &sharing_##rival);           \
	}                                                              \
	static void id##_body(void *state, unsigned body)              \
	{                                                              \
		reuse_body(state, body, QUIRE_reuse_proof_##how);      \
	}                                                              \
	static void id##_finish(void *state)                           \
	{                                                              \
		reuse_finish(state, QUIRE_reuse_proof_##how);          \
	}                                                              \
	SCENARIO(id, text, what, 2, struct reuse_race, id##_setup, id##_body, id##_finish, \
		 .finds = bug, .depth = 4, .effort = 50, .outcome = reuse_outcome)

REUSE_SCENARIO(reuse_count_entries, "reuse-count-entries", moments, count_entries,
	       "a write to a folio that a pipe holds, proven by its entries in one table", NULL);
REUSE_SCENARIO(reuse_double_read, "reuse-double-read", moments, double_read,
	       "the same, mappings read before and after the references: the pipe sees it",
	       "check");
REUSE_SCENARIO(reuse_rival_mm_ids, "reuse-rival-mm-ids", mm_ids, rival,
	       "the same, proven by mm-ids under its bit lock", NULL);
REUSE_SCENARIO(reuse_double_mm_ids, "reuse-double-mm-ids", mm_ids, double_read,
	       "the same, mm-ids read before and after: the pipe sees it", "check");
REUSE_SCENARIO(reuse_rival_rmap_ids, "reuse-rival-rmap-ids", rmap_ids, rival,
	       "the same, proven by rmap-ids between two looks at its counter", NULL);
REUSE_SCENARIO(reuse_rival_locked, "reuse-rival-locked", moments_locked, rival,
	       "the same, proven by moments under a lock", NULL);
REUSE_SCENARIO(reuse_rival_wide, "reuse-rival-wide", moments_wide, rival,
	       "the same, proven by moments with wide ids under a lock", NULL);
