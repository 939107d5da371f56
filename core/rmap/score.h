/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Judging the rival (include/quire/sharing.h): whoever maps, unmaps or asks
 * about a large folio comes through here instead of going to sharing/ directly
 * when the instance scores.  Declared apart from rmap.h, which uses it.
 */
#ifndef RMAP_SCORE_H
#define RMAP_SCORE_H

#include <quire/sharing.h>

#include "base/types.h"

struct folio;
struct rmap;
struct rmap_score;
struct vma;

#ifdef QUIRE_SCORE_SHARING
#define RMAP_SCORES 1
#else
#define RMAP_SCORES 0 /* the calls below vanish */
#endif

/* 0 or -ENOMEM. */
int score_init(struct rmap *rmap) MUST_CHECK;
void score_fini(struct rmap *rmap);
/* Pre: the instance scores. */
void score_read(const struct rmap *rmap, struct quire_sharing_score *ret_score);

/* A new large folio: nobody has met on it. */
void score_folio_born(const struct rmap *rmap, const struct folio *folio);
/* sharing_map_new, sharing_map, rmap_unmap_large, sharing_exclusive; pages by
 * their first index in the folio. */
void score_map_new(struct folio *folio, struct vma *vma, u32 nr);
int score_map(struct folio *folio, struct vma *vma, u32 first, u32 nr) MUST_CHECK;
u32 score_unmap(struct folio *folio, struct vma *vma, u32 first, u32 nr) MUST_CHECK;
bool score_exclusive(struct folio *folio, const struct vma *vma);
/* sharing_shared.  Pre: anonymous. */
bool score_shared(const struct rmap *rmap, struct folio *folio);
/* score_exclusive() for the judge alone: costs nothing, answers nobody. */
void score_question(struct folio *folio, const struct vma *vma);
/* See rmap_score_reused(). */
void score_reused(const struct rmap *rmap, u32 nr_pages);

#endif
