/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frame descriptors and folios.
 *
 * Every page frame has one 64-byte descriptor in an array indexed by frame
 * number.  A *folio* is a naturally aligned run of 2^order frames that is
 * allocated, referenced and freed as one; its descriptor is that of its first
 * frame (the head).  The others are tails and point to the head.  A folio of
 * order >= 1 also owns the descriptor of its first tail for what only large
 * folios need (struct folio_large).
 *
 * Lock key:  (A) atomic  (C) constant while allocated  (F) folio lock
 *            (Z) zone lock, while free  (O) the owner's lock, named there
 */
#ifndef PHYS_FRAME_H
#define PHYS_FRAME_H

#include "base/list.h"
#include "base/types.h"
#include "sync/atomic.h"
#include "sync/lock.h"
#include "sync/refcount.h"

enum frame_flag {
	FRAME_TAIL = 1u << 0,           /* of a folio of order >= 1 */
	FRAME_FREE = 1u << 1,           /* head of a free buddy block */
	FRAME_TABLE = 1u << 2,          /* a page table: see pgtable/table.h */
	FRAME_SLAB = 1u << 3,           /* holds objects: see objcache.h */
	FRAME_UPTODATE = 1u << 4,       /* contents are valid */
	FRAME_DIRTY = 1u << 5,          /* contents newer than the backing */
	FRAME_WRITEBACK = 1u << 6,      /* being written to the backing */
	FRAME_REFERENCED = 1u << 7,     /* used since reclaim last looked */
	FRAME_SWAPBACKED = 1u << 8,     /* anonymous or shmem */
	FRAME_LAZYFREE = 1u << 9,       /* MADV_FREE: drop if still clean */
	FRAME_PERCPU = 1u << 10,        /* on a per-CPU free list */
	FRAME_ZERO_PAGE = 1u << 11,     /* the shared page of zeros: not counted */
	FRAME_PARTLY_MAPPED = 1u << 12, /* on the queue of rmap/deferred.h */
	FRAME_WORD_REFS = 1u << 13,     /* large: references lie in folio_word() */
};

struct folio;

/* Aligned for a 16-byte word of a tail: see sharing/sharing.h. */
#define FRAME_FIELDS                                                          \
	_Alignas(16) u32 flags; /* (A) enum frame_flag */                     \
	u8 order;             /* (C) of the folio; heads and free blocks */   \
	u8 spare[3];                                                          \
	struct list lru;      /* (Z) free list / (O) */                       \
	union {                                                               \
		void *mapping;        /* (F) tagged: see rmap/rmap.h */       \
		struct folio *head;   /* (C) of a tail */                     \
	};                                                                    \
	u64 index;            /* (F) page index in the file or anon_vma */    \
	u64 private;          /* (O) */                                       \
	union {                                                               \
		struct {                                                      \
			u32 mapcount;         /* (A) entries that map it */   \
			struct refcount refs; /* (A) */                       \
		};                                                            \
		u64 counts;           /* (A) both: see frame_add_counts */    \
	};                                                                    \
	struct mutex lock;    /* the folio lock */                            \
	u32 spare2;

struct frame {
	FRAME_FIELDS
};

struct folio {
	union {
		struct frame frame;
		struct {
			FRAME_FIELDS
		};
	};
};

/* Laid over the first tail's descriptor of a folio of order >= 1. */
struct folio_large {
	u32 flags; /* as struct frame */
	u8 spare[4];
	struct list deferred;    /* (O) queue of rmap/deferred.h */
	struct folio *head;      /* as struct frame */
	u32 spare2;
	u32 entire_mapcount;     /* (A) PMD mappings; with nr-mapped=per-subpage */
	u32 nr_pages_mapped;     /* (A) pages with a mapping; as above */
	u32 pincount;            /* (A) long and short term pins */
	u32 mapcount;            /* as struct frame: this page's */
};

#ifndef QUIRE_DEBUG
_Static_assert(sizeof(struct frame) == 64, "one cache line a frame");
#endif
_Static_assert(sizeof(struct folio_large) <= sizeof(struct frame), "overlay");
_Static_assert(offsetof(struct folio_large, head) == offsetof(struct frame, head),
	       "overlay keeps the head");

static inline bool frame_test(const struct frame *frame, enum frame_flag flag)
{
	return (atomic_load(&frame->flags) & flag) != 0;
}

static inline void frame_set(struct frame *frame, enum frame_flag flag)
{
	atomic_fetch_or(&frame->flags, (u32)flag);
}

static inline void frame_clear(struct frame *frame, enum frame_flag flag)
{
	atomic_fetch_and(&frame->flags, ~(u32)flag);
}

/* Sets / clears the flag; true when it was set before. */
static inline bool frame_test_and_set(struct frame *frame, enum frame_flag flag)
{
	return (atomic_fetch_or(&frame->flags, (u32)flag) & flag) != 0;
}

static inline bool frame_test_and_clear(struct frame *frame, enum frame_flag flag)
{
	return (atomic_fetch_and(&frame->flags, ~(u32)flag) & flag) != 0;
}

#define folio_test(folio, flag) frame_test(&(folio)->frame, flag)
#define folio_set(folio, flag) frame_set(&(folio)->frame, flag)
#define folio_clear(folio, flag) frame_clear(&(folio)->frame, flag)

/*
 * Adds to the mapcount and the references of a small folio at once, or takes
 * from them: a mapping with its reference comes and goes in one atomic.
 * Returns the references there were.
 */
#define FRAME_COUNTS(mapcount, refs) ((u64)(mapcount) | ((u64)(refs) << 32))
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "FRAME_COUNTS");
_Static_assert(offsetof(struct frame, counts) % 8 == 0, "one atomic word");

static inline u32 frame_add_counts(struct frame *frame, u32 n)
{
	u64 old = atomic_pair_add(&frame->counts, FRAME_COUNTS(n, n));

	check(old >> 32 != 0);
	return (u32)(old >> 32);
}

static inline u32 frame_take_counts(struct frame *frame, u32 n)
{
	u64 old = atomic_pair_sub(&frame->counts, FRAME_COUNTS(n, n));

	check(old >> 32 >= n && (u32)old >= n);
	return (u32)(old >> 32);
}

/* The folio a frame belongs to.  Pre: the frame is allocated. */
static inline struct folio *frame_folio(struct frame *frame)
{
	if (unlikely(frame_test(frame, FRAME_TAIL)))
		return frame->head;
	return (struct folio *)(void *)frame;
}

static inline unsigned folio_order(const struct folio *folio)
{
	return folio->order;
}

static inline u64 folio_nr_pages(const struct folio *folio)
{
	return UINT64_C(1) << folio->order;
}

static inline bool folio_is_large(const struct folio *folio)
{
	return unlikely(folio->order != 0);
}

static inline struct frame *folio_frame(struct folio *folio, u64 page)
{
	return &folio->frame + page;
}

/* Pre: folio_is_large(). */
static inline struct folio_large *folio_large(struct folio *folio)
{
	return (struct folio_large *)(void *)(&folio->frame + 1);
}

/* ---- references ------------------------------------------------------------- */
/*
 * A folio is freed with its last reference.  They are counted in `refs`; those
 * of a folio with FRAME_WORD_REFS in the 16-byte word that also counts its
 * mappings, which keep it alive by themselves:
 *
 *     bit 127                       16 15          0
 *         |  who counts the mappings  | references |
 *
 * That word is made for large anonymous folios alone: who finds a folio without
 * holding a reference (the page cache does) must not have to ask first where
 * they are counted.
 */
#define FOLIO_WORD_REFS_BITS 16
#define FOLIO_WORD_REFS_MAX ((1u << FOLIO_WORD_REFS_BITS) - 1)

static inline bool folio_has_word_refs(const struct folio *folio)
{
	return folio_is_large(folio) && frame_test(&folio->frame, FRAME_WORD_REFS);
}

static inline mach_u128 *folio_word(struct folio *folio)
{
	return (mach_u128 *)(void *)&folio_frame(folio, 2)->index;
}

/* Folios with FRAME_WORD_REFS: refs.c.  The first says false, with nothing done,
 * when the field has no room; the second true when the word became 0. */
bool folio_try_get_word(struct folio *folio, u32 n) MUST_CHECK;
bool folio_put_word(struct folio *folio, u32 n) MUST_CHECK;
bool folio_get_word_unless_zero(struct folio *folio) MUST_CHECK;
bool folio_freeze_word(struct folio *folio, u32 expected) MUST_CHECK;
/* From `refs` to the word.  Pre: nobody else knows the folio. */
void folio_move_refs_to_word(struct folio *folio);

/* Pre: the caller has a reference, or a mapping that stays. */
static inline void folio_get_n(struct folio *folio, u32 n)
{
	if (folio_has_word_refs(folio))
		ensure(folio_try_get_word(folio, n));
	else
		refcount_get(&folio->refs, n);
}

/* True: it was the last, and the caller frees (folio_free). */
static inline bool folio_drop_n(struct folio *folio, u32 n)
{
	if (folio_has_word_refs(folio))
		return folio_put_word(folio, n);
	return refcount_put(&folio->refs, n);
}

/* For who has none, but keeps the folio from being reused for something else. */
static inline bool folio_get_unless_zero(struct folio *folio)
{
	if (folio_has_word_refs(folio))
		return folio_get_word_unless_zero(folio);
	return refcount_get_unless_zero(&folio->refs);
}

/* An unmapped folio's `expected` references become 0 at one instant: nobody else
 * has one. */
static inline bool folio_freeze(struct folio *folio, u32 expected)
{
	if (folio_has_word_refs(folio))
		return folio_freeze_word(folio, expected);
	return refcount_freeze(&folio->refs, expected);
}

/* Ends folio_freeze. */
void folio_unfreeze(struct folio *folio, u32 refs);

static inline void folio_get(struct folio *folio)
{
	folio_get_n(folio, 1);
}

static inline void folio_lock(struct folio *folio) ACQUIRES(folio->lock)
{
	mutex_lock(&folio->lock);
}

static inline bool folio_trylock(struct folio *folio) TRY_ACQUIRES(true, folio->lock)
{
	return mutex_trylock(&folio->lock);
}

static inline void folio_unlock(struct folio *folio) RELEASES(folio->lock)
{
	mutex_unlock(&folio->lock);
}

#endif
