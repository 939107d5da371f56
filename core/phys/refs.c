/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * References that lie in the word of a folio's mappings: see frame.h.
 *
 * They are the lowest bits and change by additions that never carry: one that
 * would is refused.  What expects a value reads it in two halves, which may be
 * torn; then the compare-and-swap fails, tells what is there, and is tried again.
 */
#include "phys/phys.h"

static u32 refs_of(mach_u128 word)
{
	return (u32)word & FOLIO_WORD_REFS_MAX;
}

bool folio_try_get_word(struct folio *folio, u32 n)
{
	mach_u128 old = atomic_guess16(folio_word(folio));

	do {
		/* The references of a torn guess are those of some instant. */
		if (unlikely(refs_of(old) + n > FOLIO_WORD_REFS_MAX))
			return false;
	} while (unlikely(!atomic_cas16(folio_word(folio), &old, old + n)));
	return true;
}

bool folio_put_word(struct folio *folio, u32 n)
{
	mach_u128 old = atomic_guess16(folio_word(folio));

	do
		check(refs_of(old) >= n);
	while (unlikely(!atomic_cas16(folio_word(folio), &old, old - n)));
	return old == n;
}

bool folio_get_word_unless_zero(struct folio *folio)
{
	mach_u128 old = atomic_guess16(folio_word(folio));

	do {
		if (old == 0 || refs_of(old) == FOLIO_WORD_REFS_MAX)
			return false;
	} while (unlikely(!atomic_cas16(folio_word(folio), &old, old + 1)));
	return true;
}

bool folio_freeze_word(struct folio *folio, u32 expected)
{
	mach_u128 old = expected;

	return atomic_cas16(folio_word(folio), &old, (mach_u128)0);
}

void folio_unfreeze(struct folio *folio, u32 refs)
{
	mach_u128 zero = 0;

	if (folio_has_word_refs(folio))
		ensure(atomic_cas16(folio_word(folio), &zero, (mach_u128)refs));
	else
		refcount_unfreeze(&folio->refs, refs);
}

void folio_move_refs_to_word(struct folio *folio)
{
	u64 *halves = (u64 *)(void *)folio_word(folio);

	check(!folio_has_word_refs(folio) && halves[0] == 0 && halves[1] == 0);
	atomic_store(&halves[0], (u64)refcount_read(&folio->refs));
	atomic_store(&folio->refs.value, 0u);
	folio_set(folio, FRAME_WORD_REFS);
}
