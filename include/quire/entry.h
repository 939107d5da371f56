/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hardware's view of a page-table entry: what the machine's page walker
 * reads and what it may set.  One 64-bit word at every level.
 *
 *   63   62..52    51.......12   11..9   8    7     6   5    4..3   2    1    0
 *   NX   software  frame number  soft   PROT LEAF   D   A    0      U    W    P
 *
 * The frame number is a number, not an address: it sits in bits 12 to 51 in
 * every geometry.  The walker reads P, W, U, LEAF, NX and the frame number;
 * it sets A, and D on a write, with a compare-and-swap on the whole word.
 * An entry with P clear belongs to software entirely; bit 8 then marks an
 * entry that is present for software but that the hardware must fault on
 * (PROT_NONE).  Bits 9..11 and 52..62 are software's and are named in
 * core/pgtable/entry.h.
 */
#ifndef QUIRE_ENTRY_H
#define QUIRE_ENTRY_H

#include <stdint.h>

#define QUIRE_ENTRY_PRESENT (UINT64_C(1) << 0)
#define QUIRE_ENTRY_WRITE (UINT64_C(1) << 1)
#define QUIRE_ENTRY_USER (UINT64_C(1) << 2)
#define QUIRE_ENTRY_ACCESSED (UINT64_C(1) << 5)
#define QUIRE_ENTRY_DIRTY (UINT64_C(1) << 6)
/* At level 0 every present entry is a leaf and the bit is not looked at. */
#define QUIRE_ENTRY_LEAF (UINT64_C(1) << 7)
#define QUIRE_ENTRY_PROTNONE (UINT64_C(1) << 8)
#define QUIRE_ENTRY_NX (UINT64_C(1) << 63)

#define QUIRE_ENTRY_PFN_SHIFT 12
#define QUIRE_ENTRY_PFN_BITS 40
#define QUIRE_ENTRY_PFN_MASK \
	(((UINT64_C(1) << QUIRE_ENTRY_PFN_BITS) - 1) << QUIRE_ENTRY_PFN_SHIFT)

#endif
