/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes proof obligations for Coq: what the functions of
 * core/sharing/moments.h and one_word.h return for some hundred words, so that
 * make proof can ask whether the functions of Word.v and OneWord.v, of which the
 * theorems speak, return the same.  The words are of one id, of two, with counts on both sides of every
 * limit, and of random sums, which no list has; the choice repeats.
 */
#include "sharing/moments.h"
#include "sharing/one_word.h"

#include <stdio.h>

static u64 random_state = 22;

/* Marsaglia's xorshift. */
static u64 random_bits(unsigned bits)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state >> (64 - bits);
}

static const char *truth(bool is)
{
	return is ? "true" : "false";
}

static void print_word(mach_u128 word)
{
	printf("0x%016llx%016llx", (unsigned long long)(word >> 64), (unsigned long long)word);
}

static void print_constant(const char *proofs, u64 ours)
{
	printf("Goal %s = %llu. Proof. reflexivity. Qed.\n", proofs, (unsigned long long)ours);
}

/* k mappings of x make this word. */
static void print_run(u64 k, u64 x)
{
	printf("  (moments_of %llu %llu =? ", (unsigned long long)k, (unsigned long long)x);
	print_word(moments_of(k, x));
	printf(") &&\n");
}

/* What is read from a word, asked for x. */
static void print_answers(mach_u128 word, u64 x)
{
	printf("  says ");
	print_word(word);
	printf(" %llu %llu %s %s %llu &&\n", (unsigned long long)x,
	       (unsigned long long)moments_n((u64)word), truth(moments_all_of(word, x)),
	       truth(moments_of_several(word)),
	       (unsigned long long)(moments_n((u64)word) ? moments_owner(word) : 0));
}

/* Counts around every limit, and small ones. */
static u64 some_count(void)
{
	static const u64 limits[] = { 1, BIT(18), MOMENTS_EXACT_MAX, BIT(20), MOMENTS_N_MAX - 1 };

	switch (random_bits(2)) {
	case 0:
		return random_bits(4);
	case 1:
		return random_bits(MOMENTS_N_BITS);
	default:
		return limits[random_bits(8) % 5] - 1 + random_bits(8) % 3;
	}
}

static u64 some_id(void)
{
	u64 id = random_bits(MOMENTS_ID_BITS);

	return random_bits(1) ? BIT(MOMENTS_ID_BITS) - 1 - (id & 3) : id;
}

static void print_case(void)
{
	u64 k = some_count(), x = some_id(), y = some_id();
	mach_u128 run = moments_of(k, x);

	print_run(k, x);
	print_answers(run, x);
	print_answers(run, y);
	print_answers(run + moments_of(1, y), x);
	print_answers((mach_u128)random_bits(63) << 64 | random_bits(40) << MOMENTS_S_SHIFT | k, x);
}

/* ---- one word --------------------------------------------------------------------- */

static bool all_mine(mach_u128 word, u64 x)
{
	return one_word_refs((u64)word) == 0 && one_word_all_of(word, x);
}

static void print_one_word_answers(mach_u128 word, u64 x)
{
	printf("  says_one ");
	print_word(word);
	printf(" %llu %llu %llu %s %s %s &&\n", (unsigned long long)x,
	       (unsigned long long)one_word_refs((u64)word),
	       (unsigned long long)one_word_n((u64)word), truth(one_word_all_of(word, x)),
	       truth(all_mine(word, x)), truth(one_word_of_several(word)));
}

static u64 one_word_count(void)
{
	static const u64 limits[] = { 1, BIT(16), ONE_WORD_EXACT_MAX, BIT(18), ONE_WORD_N_MAX - 1 };

	return random_bits(1) ? random_bits(4) : limits[random_bits(8) % 5] - 1 + random_bits(8) % 3;
}

static u64 one_word_id(void)
{
	u64 id = random_bits(ONE_WORD_ID_BITS);

	return random_bits(1) ? BIT(ONE_WORD_ID_BITS) - 1 - (id & 3) : id;
}

static void print_one_word_case(void)
{
	u64 k = one_word_count(), x = one_word_id(), y = one_word_id();
	mach_u128 run = one_word_of(k, x);

	printf("  (one_word_of %llu %llu =? ", (unsigned long long)k, (unsigned long long)x);
	print_word(run);
	printf(") &&\n");
	print_one_word_answers(run, x);
	print_one_word_answers(run + random_bits(16), x);
	print_one_word_answers(run, y);
	print_one_word_answers(run + one_word_of(1, y), x);
	print_one_word_answers((mach_u128)random_bits(60) << 64 | random_bits(64), x);
}

static void print_one_word(void)
{
	print_constant("r_width", FOLIO_WORD_REFS_BITS);
	print_constant("n_width", ONE_WORD_N_BITS);
	print_constant("s_width", ONE_WORD_S_BITS);
	print_constant("n_from", ONE_WORD_N_SHIFT);
	print_constant("s_from", ONE_WORD_S_SHIFT);
	print_constant("t_from", ONE_WORD_T_SHIFT);
	print_constant("last_id", BIT(ONE_WORD_ID_BITS) - 1);
	print_constant("most_mappings", ONE_WORD_N_MAX);
	print_constant("most_exact", ONE_WORD_EXACT_MAX);
	print_constant("most_references", FOLIO_WORD_REFS_MAX);
	printf("Definition says_one (w x r n : Z) (all mine several : bool) : bool :=\n"
	       "  (get_r w =? r) && (get_n w =? n) && Bool.eqb (is_all_of x w) all &&\n"
	       "  Bool.eqb (is_all_mine x w) mine && Bool.eqb (is_of_several w) several.\n");
	for (unsigned i = 0; i < 15; i++) {
		printf("Goal (\n");
		for (unsigned j = 0; j < 10; j++)
			print_one_word_case();
		printf("  true) = true. Proof. vm_compute. reflexivity. Qed.\n");
	}
}

int main(void)
{
	printf("Require Import ZArith Bool.\nFrom Quire Require Import Word OneWord.\n"
	       "Open Scope Z_scope.\n");
	print_constant("n_bits", MOMENTS_N_BITS);
	print_constant("s_bits", MOMENTS_S_BITS);
	print_constant("s_at", MOMENTS_S_SHIFT);
	print_constant("q_at", MOMENTS_Q_SHIFT);
	print_constant("id_end", BIT(MOMENTS_ID_BITS));
	print_constant("max_mappings", MOMENTS_N_MAX);
	print_constant("exact_mappings", MOMENTS_EXACT_MAX);
	printf("Definition says (w x n : Z) (all several : bool) (who : Z) : bool :=\n"
	       "  (field_n w =? n) && Bool.eqb (all_of x w) all &&\n"
	       "  Bool.eqb (of_several w) several && (owner w =? who).\n");
	for (unsigned i = 0; i < 15; i++) {
		printf("Goal (\n");
		for (unsigned j = 0; j < 10; j++)
			print_case();
		printf("  true) = true. Proof. vm_compute. reflexivity. Qed.\n");
	}
	print_one_word();
	return 0;
}
