/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who maps a folio?  One question, asked of every rival that the letters
 * (000_fa4b51931d6963d5.txt, 002_c2ad3a3754927e32.txt) know and of one of our
 * own, behind one table of operations.  docs/sharing.md draws their layouts
 * and compares them.
 *
 * Terms.  A folio is *mapped n times* when n page-table entries map a page of
 * it; a PMD entry counts for every page it maps, so that splitting a PMD mapping into
 * PTEs changes nothing here.  It is mapped *exclusively* when all of its
 * mappings are of one mm, and *shared* when they are not.  An answer is
 * *falsely shared* (a lost reuse) or *falsely exclusive* (corruption, once
 * copy-on-write believes it).
 *
 * A rival is *sound* if it is never falsely exclusive, *exact* if it is never
 * falsely shared either for a folio of which no mm maps a page twice.  All
 * count the mappings exactly.
 *
 * Each operation appears to happen at one instant, on any CPU, with no lock
 * held by the caller; exclusive() and shared() answer for one instant between
 * call and return.  So an answer stays true only as long as something else
 * keeps the mappings from changing: see what each says below.
 *
 * Lock key:  (C) constant  (A) atomic  (R) the rival's own
 */
#ifndef SHARING_SHARING_H
#define SHARING_SHARING_H

#include "phys/frame.h"
#include "sharing/id.h"

/* ---- state of a folio ------------------------------------------------------- */

/*
 * Lies over the descriptors of the second to fourth frame of a folio of order
 * >= 2 (of order 1: over the second alone).  Taken in each: the first 32 bytes,
 * which every tail has, and the page's own mapcount; in the first tail what
 * struct folio_large keeps.  Left: seven 8-byte words and three of 4 bytes.
 */
union sharing_tail {
	struct frame frame;
	struct {
		u8 taken[32];
		union {
			_Alignas(16) mach_u128 wide; /* (R) */
			u64 words[2];                /* (R) frame.index, frame.private */
		};
		u32 mapcount; /* as struct frame */
		u32 half;     /* (R) frame.refs */
		u64 last;     /* (R) frame.lock and what follows */
	};
};

struct sharing_state {
	union sharing_tail tails[3];
};

_Static_assert(offsetof(union sharing_tail, words) == offsetof(struct frame, index) &&
	       offsetof(union sharing_tail, mapcount) == offsetof(struct frame, mapcount) &&
	       offsetof(union sharing_tail, half) == offsetof(struct frame, refs) &&
	       offsetof(union sharing_tail, last) == offsetof(struct frame, lock),
	       "lies over a tail");
_Static_assert(offsetof(struct folio_large, mapcount) + sizeof(u32) <=
	       offsetof(union sharing_tail, half), "leaves folio_large alone");
#ifndef QUIRE_DEBUG
_Static_assert(sizeof(struct sharing_state) == 3 * sizeof(struct frame),
	       "lies over three descriptors");
#endif

/* ---- rivals -------------------------------------------------------------------- */

/*
 * In all of them: the folio is of an order the rival takes; `first` is the
 * index in the folio of the first of `nr` >= 1 consecutive pages, all inside
 * the folio; `mm` has its id as long as it has mappings, counted or about to
 * be.
 */
struct sharing_ops {
	const char *name;
	const char *source;
	bool sound, exact;  /* as defined above */
	u8 min_order, max_order;
	u8 state_bytes;     /* of the descriptors, at most */
	u64 max_ids;        /* ids are below */
	u64 max_mappings;   /* so many it can count, whosever they are */

	/* What an mm keeps beside its id; NULL: nothing. */
	void (*mm_init)(struct sharing_mm *mm);
	/* Unmapped.  Alone with the state. */
	void (*init)(struct sharing_state *state);
	/* The rival's bytes are 0.  Pre: unmapped; alone with the state. */
	void (*fini)(struct sharing_state *state);
	/* The first mappings of a folio that nobody else sees yet.  Pre: unmapped. */
	void (*map_new)(struct sharing_state *state, unsigned order,
			const struct sharing_mm *mm, u32 first, u32 nr);
	/* 0, or -EOVERFLOW with nothing changed: that many mappings cannot be counted. */
	int (*map)(struct sharing_state *state, unsigned order,
		   const struct sharing_mm *mm, u32 first, u32 nr);
	/* Pre: mm has these mappings. */
	void (*unmap)(struct sharing_state *state, unsigned order,
		      const struct sharing_mm *mm, u32 first, u32 nr);
	/*
	 * Of a rival that counts the references of anonymous folios too (see
	 * FRAME_WORD_REFS; else NULL): unmap, which leaves one reference behind for
	 * all of them, in one step.  There a mapping is its own reference.
	 */
	void (*unmap_hold)(struct sharing_state *state, const struct sharing_mm *mm, u32 nr);
	/*
	 * All mappings are of `mm`.  Pre: mm maps a page, and the caller keeps it
	 * from being unmapped.  Where that is all that maps, only mm's own other
	 * threads can make it untrue.  May say no while an update is under way.
	 * True is an acquire: it pairs with the unmap() of whoever was there
	 * before, a full barrier, so what they did to the pages is done.
	 */
	bool (*exclusive)(const struct sharing_state *state, unsigned order,
			  const struct sharing_mm *mm);
	/*
	 * All mappings are of `mm`, and `refs`, the folio's references, are as many, at
	 * one instant: the rival keeps mappings from changing, or sees that none did,
	 * while it reads the references.  Pre, and what may say no, as exclusive();
	 * a mapping's reference is taken before map() and dropped after unmap().  True
	 * is an acquire for the puts, too.  NULL: the rival has no such instant.
	 */
	bool (*all_mine)(struct sharing_state *state, unsigned order,
			 const struct sharing_mm *mm, const struct refcount *refs);
	/* More than one mm has mappings, whoever asks. */
	bool (*shared)(const struct sharing_state *state, unsigned order);
	u32 (*mapcount)(const struct sharing_state *state);
};

extern const struct sharing_ops sharing_first_subpage;
extern const struct sharing_ops sharing_total_mapcount;
extern const struct sharing_ops sharing_owner;
extern const struct sharing_ops sharing_rmap_ids_posted;
extern const struct sharing_ops sharing_rmap_ids;
extern const struct sharing_ops sharing_mm_ids;
extern const struct sharing_ops sharing_moments;
/* The same word, for a machine without a 16-byte compare-and-swap. */
extern const struct sharing_ops sharing_moments_locked;
/* Ids of 32 bits and no limit to what is exact, under the same lock. */
extern const struct sharing_ops sharing_moments_wide;
/* moments, and the folio's references in the same word. */
extern const struct sharing_ops sharing_one_word;

/* All of them, in the order above; ends in NULL. */
extern const struct sharing_ops *const sharing_rivals[];

/* ---- of an instance --------------------------------------------------------- */

struct sharing {
	const struct sharing_ops *ops; /* (C) */
	struct sharing_ids ids;
};

/*
 * `nr_ids`: mms at a time, and one more.  0; -EINVAL: more than the rival can
 * tell apart, or fewer than 2; -ENOMEM.
 */
int sharing_init(struct sharing *sharing, const struct sharing_ops *ops, u64 nr_ids) MUST_CHECK;
/* Number of ids leaked. */
u64 sharing_fini(struct sharing *sharing);

/*
 * Gives an mm its id: the lowest that is free.  The caller holds one reference.
 * 0 or -EAGAIN: all are taken.
 */
int sharing_mm_init(struct sharing *sharing, struct sharing_mm *mm) MUST_CHECK;
/* For who will unmap later than the mm goes: the gather of a delayed removal. */
void sharing_mm_get(struct sharing_mm *mm);
/* True when it was the last: the id may go to another mm.
 * Pre: then no folio counts a mapping of this mm. */
bool sharing_mm_put(struct sharing *sharing, struct sharing_mm *mm);

/* ---- of a folio ----------------------------------------------------------------- */

/* 0, or -EINVAL: an order that the rival or the geometry has not. */
int sharing_folio_init(const struct sharing *sharing, struct sharing_state *state,
		       unsigned order) MUST_CHECK;
/* Before the descriptors become pages of their own again, freed or in smaller
 * folios: the bytes are 0.  0, or -EBUSY with nothing changed: still mapped. */
int sharing_split(const struct sharing *sharing, struct sharing_state *state) MUST_CHECK;
/* A new folio takes the place of `nr` pages that mm mapped.  As sharing_folio_init. */
int sharing_collapse(const struct sharing *sharing, struct sharing_state *state,
		     unsigned order, const struct sharing_mm *mm, u32 first,
		     u32 nr) MUST_CHECK;

static inline void sharing_map_new(const struct sharing *sharing,
				   struct sharing_state *state, unsigned order,
				   const struct sharing_mm *mm, u32 first, u32 nr)
{
	check(nr > 0 && first + nr <= UINT64_C(1) << order);
	sharing->ops->map_new(state, order, mm, first, nr);
}

static inline MUST_CHECK int sharing_map(const struct sharing *sharing,
					 struct sharing_state *state, unsigned order,
					 const struct sharing_mm *mm, u32 first, u32 nr)
{
	check(nr > 0 && first + nr <= UINT64_C(1) << order);
	return sharing->ops->map(state, order, mm, first, nr);
}

/*
 * The child maps what the parent maps: for every rival a map by the child, one
 * update for the batch.  The parent's mappings are counted and stay.
 */
static inline MUST_CHECK int sharing_fork(const struct sharing *sharing,
					  struct sharing_state *state, unsigned order,
					  const struct sharing_mm *child, u32 first, u32 nr)
{
	check(sharing->ops->mapcount(state) >= nr);
	return sharing_map(sharing, state, order, child, first, nr);
}

static inline void sharing_unmap(const struct sharing *sharing,
				 struct sharing_state *state, unsigned order,
				 const struct sharing_mm *mm, u32 first, u32 nr)
{
	check(nr > 0 && first + nr <= UINT64_C(1) << order);
	sharing->ops->unmap(state, order, mm, first, nr);
}

static inline bool sharing_exclusive(const struct sharing *sharing,
				     const struct sharing_state *state, unsigned order,
				     const struct sharing_mm *mm)
{
	return sharing->ops->exclusive(state, order, mm);
}

/* False, too, where the rival cannot say. */
static inline bool sharing_all_mine(const struct sharing *sharing,
				    struct sharing_state *state, unsigned order,
				    const struct sharing_mm *mm, const struct refcount *refs)
{
	return sharing->ops->all_mine != NULL &&
	       sharing->ops->all_mine(state, order, mm, refs);
}

static inline bool sharing_shared(const struct sharing *sharing,
				  const struct sharing_state *state, unsigned order)
{
	return sharing->ops->shared(state, order);
}

static inline u32 sharing_mapcount(const struct sharing *sharing,
				   const struct sharing_state *state)
{
	return sharing->ops->mapcount(state);
}

#endif
