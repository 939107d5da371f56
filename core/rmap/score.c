/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The truth about who maps a large folio, and what the rival says of it.
 *
 * The truth is what page tables hold: every VMA that may map the folio is
 * found by its anon_vma or file, and its entries are counted.  Nothing of it
 * comes from the rival, from references or from page mapcounts.
 *
 * At one instant.  All memory is read here by plain loads, without locks.  So
 * it is right where nobody else runs meanwhile: with one CPU at a time in the
 * instance, and on the explore machine, where another CPU gets its turn only at
 * an atomic operation.  There, mappings may be on their way: a mapping is
 * counted before its entry is stored and after it was taken, so
 *
 *     the entries in tables are among the mappings that were counted
 *
 * and nothing is on its way when both are as many.  What follows for a query
 * by mm, which has a page mapped and cannot fork before it has its answer:
 *   - an entry of another mm after "exclusive" was there before it, as nobody
 *     begins to map the folio but through a mapping of it: falsely exclusive;
 *   - when before "shared" nothing was on its way and all entries were mm's,
 *     that was so until the answer: falsely shared.
 * What is neither and not seen to be right is not judged.
 */
#include "rmap/score.h"

#include "base/bits.h"
#include "base/cost.h"
#include "rmap/rmap.h"

/* Who met on the folio of a frame: their address space ids, which are not used
 * twice in an instance's life. */
struct met {
	u32 asid[2]; /* 0: nobody yet */
	bool third;
};

struct rmap_score {
	struct quire_sharing_score sums;
	struct met *met; /* by frame number of the folio */
};

static size_t met_bytes(const struct rmap *rmap)
{
	return rmap->phys->nr_frames * sizeof(struct met);
}

int score_init(struct rmap *rmap)
{
	struct rmap_score *score = mach_mem_alloc(sizeof(*score), _Alignof(struct rmap_score));

	if (score == NULL)
		return -QUIRE_ENOMEM;
	score->met = mach_mem_alloc(met_bytes(rmap), _Alignof(struct met));
	if (score->met == NULL) {
		mach_mem_free(score, sizeof(*score));
		return -QUIRE_ENOMEM;
	}
	score->sums.bytes_per_folio = rmap->sharing.ops->state_bytes;
	rmap->score = score;
	return 0;
}

void score_fini(struct rmap *rmap)
{
	if (rmap->score == NULL)
		return;
	mach_mem_free(rmap->score->met, met_bytes(rmap));
	mach_mem_free(rmap->score, sizeof(*rmap->score));
	rmap->score = NULL;
}

void score_read(const struct rmap *rmap, struct quire_sharing_score *ret_score)
{
	*ret_score = rmap->score->sums;
}

/* ---- who met -------------------------------------------------------------------- */

static struct met *met_on(const struct rmap *rmap, const struct folio *folio)
{
	return &rmap->score->met[folio_pfn(rmap->phys, folio).v];
}

void score_folio_born(const struct rmap *rmap, const struct folio *folio)
{
	*met_on(rmap, folio) = (struct met){ .third = false };
}

static void meet(struct folio *folio, const struct vma *vma)
{
	struct rmap *rmap = vma->owner->rmap;
	struct quire_sharing_met *sum = folio_is_anon(folio) ? &rmap->score->sums.anon :
							       &rmap->score->sums.file;
	struct met *met = met_on(rmap, folio);
	u32 asid = vma->pt->asid;

	if (met->asid[0] == 0) {
		met->asid[0] = asid;
		sum->folios++;
	} else if (met->asid[0] != asid && met->asid[1] == 0) {
		met->asid[1] = asid;
		sum->by_two++;
	} else if (met->asid[0] != asid && met->asid[1] != asid && !met->third) {
		met->third = true;
		sum->by_three++;
	}
}

/* ---- what an update costs ---------------------------------------------------------- */

struct mark {
	u64 atomics, locks;
};

static struct mark mark_now(void)
{
	const struct quire_cost *cost = mach_cost();

	return (struct mark){ cost->atomic_rmw + cost->atomic_rmw16, cost->lock_acquisitions };
}

static void add_update(struct quire_sharing_updates *sum, struct mark before, u32 nr_pages)
{
	struct mark now = mark_now();

	sum->nr++;
	sum->pages += nr_pages;
	sum->atomics += now.atomics - before.atomics;
	sum->locks += now.locks - before.locks;
}

void score_map_new(struct folio *folio, struct vma *vma, u32 nr)
{
	sharing_map_new(&vma->owner->rmap->sharing, folio_sharing(folio), folio_order(folio),
			vma_sharer(vma), 0, nr);
	meet(folio, vma);
}

int score_map(struct folio *folio, struct vma *vma, u32 first, u32 nr)
{
	struct rmap *rmap = vma->owner->rmap;
	struct mark before = mark_now();
	int err = sharing_map(&rmap->sharing, folio_sharing(folio), folio_order(folio),
			      vma_sharer(vma), first, nr);

	if (err)
		return err;
	add_update(&rmap->score->sums.maps, before, nr);
	meet(folio, vma);
	return 0;
}

u32 score_unmap(struct folio *folio, struct vma *vma, u32 first, u32 nr)
{
	struct rmap *rmap = vma->owner->rmap;
	struct mark before = mark_now();
	u32 nr_refs = rmap_unmap_large(folio, vma, first, nr);

	add_update(&rmap->score->sums.unmaps, before, nr);
	return nr_refs;
}

void score_reused(const struct rmap *rmap, u32 nr_pages)
{
	rmap->score->sums.copies_avoided++;
	rmap->score->sums.pages_reused += nr_pages;
}

/* ---- the truth --------------------------------------------------------------------- */

/* What the tables say, as far as it was asked: counting ends with the second mm. */
struct truth {
	const struct pgtable *only; /* who has entries: NULL nobody, unless several */
	bool several;
	u64 nr;                     /* entries; of a leaf: its pages */
	bool settled;               /* no mapping was on its way */
};

/* The entry that translates `addr`, at *ret_level: a page's, a leaf, or one that
 * is not present. */
static const entry_t *peek(const struct pgtable *pt, u64 addr, unsigned *ret_level)
{
	const struct table *table = pt->root;
	unsigned level = QUIRE_LEVELS - 1;

	for (;; level--) {
		const entry_t *slot = table_slots(pt, table) + pgtable_index(addr, level);

		if (level == 0 || !entry_is_present(*slot) || entry_is_leaf(*slot)) {
			*ret_level = level;
			return slot;
		}
		table = entry_table(pt, *slot);
	}
}

static bool maps_folio(const struct phys *phys, entry_t e, const struct folio *folio)
{
	return entry_is_present(e) && !entry_is_special(e) &&
	       entry_pfn(e).v - folio_pfn(phys, folio).v < folio_nr_pages(folio);
}

/* Where what an entry of `level` translates ends. */
static u64 end_of_entry(u64 addr, unsigned level)
{
	u64 bytes = BIT(QUIRE_LEVEL_SHIFT(level));

	return align_down(addr, bytes) + bytes;
}

/* Pages of the folio that are mapped in [addr, end). */
static u64 count_range(const struct pgtable *pt, const struct folio *folio, u64 addr, u64 end)
{
	u64 nr = 0, next;

	for (; addr < end; addr = next) {
		unsigned level;
		const entry_t *slot = peek(pt, addr, &level);
		u64 nr_pages;

		/* All slots of a table of pages in one go. */
		next = u64_min(end, end_of_entry(addr, level == 0 ? 1 : level));
		nr_pages = (next - addr) >> PAGE_SHIFT;
		if (level != 0)
			nr += maps_folio(pt->phys, *slot, folio) ? nr_pages : 0;
		else
			for (u64 i = 0; i < nr_pages; i++)
				nr += maps_folio(pt->phys, slot[i], folio);
	}
	return nr;
}

static void count_vma(struct truth *truth, const struct folio *folio, const struct vma *vma)
{
	u64 first = u64_max(folio->index, vma->pgoff);
	u64 end = u64_min(folio->index + folio_nr_pages(folio), vma->pgoff + vma_nr_pages(vma));
	u64 nr = count_range(vma->pt, folio, vma_address(vma, first), vma_address(vma, end));

	if (nr == 0)
		return;
	truth->nr += nr;
	if (truth->only == NULL)
		truth->only = vma->pt;
	else if (truth->only != vma->pt)
		truth->several = true;
}

/* `i_mmap` is the file's; NULL for an anonymous folio. */
static struct truth count_all(const struct folio *folio, const struct i_mmap *i_mmap)
{
	u64 first = folio->index, last = first + folio_nr_pages(folio) - 1;
	struct truth truth = { .nr = 0 };
	struct interval_node *node;

	if (i_mmap != NULL) {
		interval_for_each(node, &i_mmap->vmas, first, last) {
			count_vma(&truth, folio, container_of(node, struct vma, i_mmap));
			if (truth.several)
				break;
		}
	} else {
		interval_for_each(node, &mapping_anon_vma(folio->mapping)->links, first, last) {
			count_vma(&truth, folio,
				  container_of(node, struct anon_vma_link, node)->vma);
			if (truth.several)
				break;
		}
	}
	return truth;
}

/* Whether anything is on its way has to be asked first: the tables are then read
 * at the instant of that load. */
static struct truth truth_of(const struct rmap *rmap, struct folio *folio,
			     const struct i_mmap *i_mmap)
{
	struct quire_cost saved = *mach_cost(); /* none of this is the core's cost */
	u64 counted = folio_mapcount(rmap, folio);
	struct truth truth = count_all(folio, i_mmap);

	truth.settled = truth.nr == counted;
	*mach_cost() = saved;
	return truth;
}

/*
 * Puts the answer "one mm's alone" into the confusion matrix.  The truth is that
 * of before a no and of after a yes: `others`, another mm had entries; `settled`,
 * nothing was on its way.
 */
static void judge(const struct rmap *rmap, const struct folio *folio, bool answer, bool others,
		  bool settled)
{
	struct quire_sharing_score *sums = &rmap->score->sums;

	sums->queries++;
	sums->queries_met_by_three += met_on(rmap, folio)->third;
	if (others)
		(*(answer ? &sums->false_exclusive : &sums->true_shared))++;
	else if (answer)
		sums->true_exclusive++;
	else
		(*(settled ? &sums->false_shared : &sums->unjudged))++;
}

static bool has_others(const struct truth *truth, const struct vma *vma)
{
	return truth->several || (truth->only != NULL && truth->only != vma->pt);
}

bool score_exclusive(struct folio *folio, const struct vma *vma)
{
	const struct rmap *rmap = vma->owner->rmap;
	const struct i_mmap *i_mmap = folio_is_anon(folio) ? NULL : vma->i_mmap_tree;
	struct truth truth = truth_of(rmap, folio, i_mmap);
	bool answer = sharing_exclusive(&rmap->sharing, folio_sharing(folio),
					folio_order(folio), vma_sharer(vma));

	if (answer)
		truth = truth_of(rmap, folio, i_mmap);
	judge(rmap, folio, answer, has_others(&truth, vma), truth.settled);
	return answer;
}

bool score_shared(const struct rmap *rmap, struct folio *folio)
{
	struct truth truth = truth_of(rmap, folio, NULL);
	bool shared = sharing_shared(&rmap->sharing, folio_sharing(folio), folio_order(folio));

	if (!shared)
		truth = truth_of(rmap, folio, NULL);
	judge(rmap, folio, !shared, truth.several, truth.settled);
	return shared;
}

void score_question(struct folio *folio, const struct vma *vma)
{
	struct quire_cost saved = *mach_cost();

	(void)score_exclusive(folio, vma);
	*mach_cost() = saved;
}
