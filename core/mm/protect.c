/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing what entries allow, after mprotect changed the VMA.
 *
 * Guarantees.  Accessed and dirty bits survive, whatever the walkers do
 * meanwhile: each entry is changed by one compare-and-swap.  An entry becomes
 * writable here only where a write fault would do nothing but set the bit: an
 * exclusive anonymous page, or a shared page whose file need not be told.
 * Write-protecting keeps the exclusive mark, so that the way back is free.
 * The TLBs are flushed once, and only if somebody may do less than before.
 */
#include "mm/pages.h"

struct protect {
	struct vma *vma;
	u64 bits;        /* of an entry that writers have to ask for */
	bool writable;   /* the VMA allows writing */
	bool notice;     /* but a clean page's file must be told first */
};

/* What mprotect may change; the rest of an entry stays. */
#define PROTECTION_BITS                                                      \
	(QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE | QUIRE_ENTRY_USER |        \
	 QUIRE_ENTRY_PROTNONE | QUIRE_ENTRY_NX)

/* The zero page is nobody's: it never bears the mark. */
static bool may_become_writable(const struct protect *protect, entry_t e)
{
	if (vma_is_shared(protect->vma))
		return !protect->notice || entry_is_dirty(e);
	return entry_is_exclusive(e);
}

/* True when the entry allows less than before. */
static bool allows_less(entry_t from, entry_t to)
{
	u64 rights = QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE | QUIRE_ENTRY_USER;

	return ((from.v & ~to.v & rights) | (~from.v & to.v & QUIRE_ENTRY_NX)) != 0;
}

ALWAYS_INLINE entry_t protected_entry(const struct protect *protect, entry_t e)
{
	entry_t to = { (e.v & ~PROTECTION_BITS) | protect->bits };

	if (protect->writable && may_become_writable(protect, e))
		to.v |= QUIRE_ENTRY_WRITE;
	return to;
}

/* What a page on the move will be given when it is mapped again; TLBs hold
 * nothing of it. */
static NOINLINE void protect_migration(struct protect protect, entry_t *slot, entry_t e)
{
	entry_store(slot, entry_to_migration(
				  protected_entry(&protect, entry_from_migration(e))));
}

/* True when what TLBs hold for the entry must be flushed.  Inline, so that what it asks of
 * `protect` for each entry lies in registers. */
ALWAYS_INLINE bool protect_entry(const struct protect *protect, entry_t *slot)
{
	entry_t from = entry_load(slot), to;

	do {
		if (!entry_is_present(from)) {
			if (entry_is_migration(from))
				protect_migration(*protect, slot, from);
			return false;
		}
		to = protected_entry(protect, from);
		if (to.v == from.v)
			return false;
	} while (!entry_cas(slot, &from, to));
	return allows_less(from, to);
}

/* All entries of a span of level 0. */
ALWAYS_INLINE bool protect_span(const struct protect *protect, const struct span *span)
{
	u32 nr = (u32)((span->end - span->addr) >> PAGE_SHIFT);
	entry_t *slots = span->slots;
	bool flush = false;

	table_lock(span->table);
	for (u32 i = 0; i < nr; i++)
		flush |= protect_entry(protect, &slots[i]);
	table_unlock(span->table);
	return flush;
}

/* False: no leaf is there any more, walk again. */
static NOINLINE bool protect_leaf(struct protect protect, const struct span *span, bool *flush)
{
	bool whole = span_is_whole_leaf(span);
	entry_t e;

	if (!span_lock_leaf(span, &e))
		return false;
	if (whole)
		*flush = protect_entry(&protect, span->slots);
	else
		huge_split_locked(protect.vma, span->table, span->slots);
	table_unlock(span->table);
	return whole;
}

void change_protection(struct vma *vma, u64 start, u64 end)
{
	struct protect protect = {
		.vma = vma,
		.bits = vma->entry_bits,
		.writable = (vma->flags & VMA_WRITE) != 0,
		.notice = !vma_is_anonymous(vma) && vma_wants_write_notice(vma),
	};
	u64 flush_start = UINT64_MAX, flush_end = 0;
	struct span span = { 0 };

	for (u64 at = start; pgtable_next_span(&vma->mm->pt, at, end, &span);) {
		bool flush = false;

		if (span.level == 0)
			flush = protect_span(&protect, &span);
		at = span.level == 0 || protect_leaf(protect, &span, &flush) ? span.end :
									       span.addr;
		if (flush) {
			flush_start = u64_min(flush_start, span.addr);
			flush_end = span.end;
		}
	}
	if (flush_start < flush_end)
		tlb_flush_range(&vma->mm->pt, flush_start, flush_end);
}
