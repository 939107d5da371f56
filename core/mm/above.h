/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this room asks of the rooms above it.  It cannot see them, but some calls
 * come in here and are theirs to do.  Each function is declared here and defined
 * there; which one is decided when the library is linked, so there is nothing to
 * register, and nothing that could be missing at run time.
 */
#ifndef MM_ABOVE_H
#define MM_ABOVE_H

#include "mm/mm.h"

/*
 * thp/collapse.c.  MADV_COLLAPSE of [start, end), a part of the VMA: each PMD
 * range wholly inside becomes one folio.  0: all are; -EINVAL: this memory cannot
 * be, or nothing is in a range; -ENOMEM; -EAGAIN: some range has pages that
 * somebody holds.  Which of them leave the ranges behind undone: docs/collapse.md.
 * mmap read lock, which is dropped and taken again: the VMA may be gone then.
 */
int collapse_advised(struct vma *vma, u64 start, u64 end) MUST_CHECK;

#endif
