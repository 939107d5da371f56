/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large folios as seen from above address spaces: what is done to them apart
 * from a fault.  How a folio of anonymous memory is split is rmap/split.h's, how
 * one of a file's pages is file/split.c's.
 */
#ifndef THP_THP_H
#define THP_THP_H

#include "mm/mm.h"

/*
 * Splits a large folio of either kind into folios of 2^order pages: 0 or a
 * mappable order below its own.  Those of an anonymous folio that nobody maps
 * are freed; of a file's folio all entries are taken out and fault in again.
 * 0; -EINVAL: no such order; -EBUSY: somebody else holds a reference, or the
 * folio left its file; -ENOMEM: the file's index could not grow.
 * Pre: folio lock, one reference.
 */
int folio_split(struct quire *q, struct folio *folio, unsigned order) MUST_CHECK;

#endif
