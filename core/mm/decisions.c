/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of decisions: everything in it comes from QUIRE_DECISION_LIST,
 * expanded once per question asked of it.
 */
#include <quire/decisions.h>

#include "base/types.h"

static const struct quire_alternative_info alternatives[QUIRE_NR_ALTERNATIVES] = {
#define ALTERNATIVE_ENTRY(decision, id, text, is_sound, description)     \
	[QUIRE_##decision##_##id] = {                                    \
		.row = QUIRE_DECISION_##decision, .name = text,          \
		.what = description, .sound = is_sound,                  \
	},
	QUIRE_DECISION_LIST(QUIRE_DECISION_NOTHING, ALTERNATIVE_ENTRY)
#undef ALTERNATIVE_ENTRY
};

/* Where a row's alternatives begin: a row's name is numbered as the alternative
 * that follows it, by stepping back by one. */
enum row_first {
#define ROW_BEGIN(id, text, source, asks) ROW_FIRST_##id, ROW_BACK_##id = ROW_FIRST_##id - 1,
#define ALTERNATIVE_STEP(decision, id, text, is_sound, description) \
	ROW_ALTERNATIVE_##decision##_##id,
	QUIRE_DECISION_LIST(ROW_BEGIN, ALTERNATIVE_STEP)
#undef ROW_BEGIN
#undef ALTERNATIVE_STEP
};

/* How many they are: one struct per row, one byte per alternative. */
struct before_the_rows {
	char none;
#define ROW_BEGIN(id, text, source, asks) \
	}                                 \
	;                                 \
	struct row_size_##id {
#define ALTERNATIVE_BYTE(decision, id, text, is_sound, description) char id;
	QUIRE_DECISION_LIST(ROW_BEGIN, ALTERNATIVE_BYTE)
#undef ROW_BEGIN
#undef ALTERNATIVE_BYTE
};

static const struct quire_decision_info rows[QUIRE_NR_DECISIONS] = {
#define ROW_ENTRY(id, text, source, asks)                                             \
	[QUIRE_DECISION_##id] = {                                                     \
		.name = text, .letter = source, .question = asks,                     \
		.first = (enum quire_alternative)ROW_FIRST_##id,                      \
		.last = (enum quire_alternative)(ROW_FIRST_##id +                     \
						 sizeof(struct row_size_##id) - 1),   \
	},
	QUIRE_DECISION_LIST(ROW_ENTRY, QUIRE_DECISION_NOTHING)
#undef ROW_ENTRY
};

const struct quire_decision_info *quire_decision_info(enum quire_decision row)
{
	return (unsigned)row < QUIRE_NR_DECISIONS ? &rows[row] : NULL;
}

const struct quire_alternative_info *quire_alternative_info(enum quire_alternative alt)
{
	return (unsigned)alt < QUIRE_NR_ALTERNATIVES ? &alternatives[alt] : NULL;
}

void quire_decisions_default(struct quire_decisions *decisions)
{
	for (unsigned row = 0; row < QUIRE_NR_DECISIONS; row++)
		decisions->chosen[row] = (u8)rows[row].first;
}

static bool names_equal(const char *a, const char *b)
{
	while (*a != 0 && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

int quire_decisions_set(struct quire_decisions *decisions, const char *row,
			const char *alternative)
{
	if (row == NULL || alternative == NULL)
		return -QUIRE_EINVAL;
	for (unsigned r = 0; r < QUIRE_NR_DECISIONS; r++) {
		if (!names_equal(rows[r].name, row))
			continue;
		for (unsigned a = rows[r].first; a <= rows[r].last; a++) {
			if (!names_equal(alternatives[a].name, alternative))
				continue;
			decisions->chosen[r] = (u8)a;
			return 0;
		}
		return -QUIRE_EINVAL;
	}
	return -QUIRE_ENOENT;
}
