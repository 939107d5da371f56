/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tokens: a run in one line of text, which this build of the program replays
 * exactly.
 *
 *   XP1:<program>:<build>:<failing allocation>:<choices>:<steps>.<hash>:<marks>:<crc>
 *
 * choices is `random-<seed>`, `pct<depth>-<expected steps>-<seed>`, or `list-`
 * and the deviations from the default policy (xp_default_choice): for each the
 * number of steps since the last one, left out where it is 1, and a letter, a
 * to q for CPUs 0 to 16, A to Q for their interrupts.  marks are 16 bits of
 * the hash at steps 1, 2, 4, 8 ..., so that a replay that goes wrong can say
 * between which steps.
 */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include <ctype.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "explore/world.h"

/* ---- which build ------------------------------------------------------------------ */

static uint64_t hash_bytes(const unsigned char *at, size_t bytes)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i + 8 <= bytes; i += 8) {
		uint64_t word;

		memcpy(&word, at + i, 8);
		h = (h ^ word) * XP_HASH_FACTOR;
		h ^= h >> 32;
	}
	return h;
}

/* The first object is the program itself. */
static int look_at_program(struct dl_phdr_info *info, size_t size, void *ret)
{
	uint64_t *id = ret;
	uint64_t end = 0;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type != PT_LOAD)
			continue;
		if (segment->p_vaddr + segment->p_memsz > end)
			end = segment->p_vaddr + segment->p_memsz;
		if (segment->p_flags & PF_X)
			*id ^= hash_bytes((const unsigned char *)
					  (info->dlpi_addr + segment->p_vaddr),
					  segment->p_filesz);
	}
	xp.image = (const char *)info->dlpi_addr;
	xp.image_bytes = end;
	return 1;
}

uint64_t xp_build_id(void)
{
	static uint64_t id;

	if (id == 0) {
		dl_iterate_phdr(look_at_program, &id);
		id &= UINT64_C(0xffffffffffff);
	}
	return id;
}

/* ---- writing ------------------------------------------------------------------------ */

static uint32_t crc32_of(const char *text, size_t bytes)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < bytes; i++) {
		crc ^= (unsigned char)text[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

static char letter_of(unsigned actor)
{
	return (char)(actor >= XP_INTERRUPTS ? 'A' + (int)(actor - XP_INTERRUPTS) :
					       'a' + (int)actor);
}

static unsigned nr_marks(uint64_t steps)
{
	unsigned nr = 0;

	while (nr < XP_NR_CHECKPOINTS && (UINT64_C(1) << nr) <= steps)
		nr++;
	return nr;
}

static void write_choices(FILE *out, const struct xp_token *token)
{
	uint64_t last = 0;

	if (!token->is_list && token->strategy == EXPLORE_RANDOM) {
		fprintf(out, "random-%llx", (unsigned long long)token->seed);
		return;
	}
	if (!token->is_list) {
		fprintf(out, "pct%u-%llu-%llx", token->depth,
			(unsigned long long)token->expected_steps,
			(unsigned long long)token->seed);
		return;
	}
	fprintf(out, "list-");
	for (size_t i = 0; i < token->nr; i++) {
		uint64_t gap = token->list[i].step - last;

		last = token->list[i].step;
		if (gap != 1)
			fprintf(out, "%llu", (unsigned long long)gap);
		fputc(letter_of(token->list[i].actor), out);
	}
}

char *xp_token_write(const struct xp_token *token)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	fprintf(out, "XP1:%s:%012llx:%llu:", token->name, (unsigned long long)token->build,
		(unsigned long long)token->fail_nth);
	write_choices(out, token);
	fprintf(out, ":%llu.%016llx:", (unsigned long long)token->steps,
		(unsigned long long)token->hash);
	for (unsigned i = 0; i < nr_marks(token->steps); i++)
		fprintf(out, "%04x", token->checkpoints[i]);
	fflush(out);
	fprintf(out, ":%08x", crc32_of(text, bytes));
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- reading ---------------------------------------------------------------------------- */

struct reader {
	const char *at;
	const char *start;
	char *why;
	size_t why_bytes;
	bool bad;
};

static void complain(struct reader *r, const char *what)
{
	if (!r->bad)
		snprintf(r->why, r->why_bytes, "bad token: %s at character %zu", what,
			 (size_t)(r->at - r->start) + 1);
	r->bad = true;
}

static void expect(struct reader *r, const char *literal)
{
	size_t bytes = strlen(literal);

	if (r->bad)
		return;
	if (strncmp(r->at, literal, bytes) != 0)
		complain(r, "unexpected text");
	else
		r->at += bytes;
}

static uint64_t number(struct reader *r, int base)
{
	uint64_t v = 0;
	unsigned digits = 0;

	for (; !r->bad; r->at++, digits++) {
		int c = tolower((unsigned char)*r->at);
		int digit = isdigit(c) ? c - '0' : base == 16 && c >= 'a' && c <= 'f' ?
			    c - 'a' + 10 : -1;

		if (digit < 0)
			break;
		if (v > (UINT64_MAX - 15) / (unsigned)base)
			complain(r, "a number is too large");
		v = v * (unsigned)base + (unsigned)digit;
	}
	if (digits == 0)
		complain(r, "a number is missing");
	return v;
}

static bool add_deviation(struct xp_token *token, size_t *room, uint64_t step, unsigned actor)
{
	if (token->nr == *room) {
		size_t wanted = *room ? *room * 2 : 64;
		struct xp_deviation *more = realloc(token->list, wanted * sizeof(*more));

		if (!more)
			return false;
		token->list = more;
		*room = wanted;
	}
	token->list[token->nr++] = (struct xp_deviation){ step, actor };
	return true;
}

static int read_list(struct reader *r, struct xp_token *token)
{
	size_t room = 0;
	uint64_t step = 0;

	token->is_list = true;
	while (!r->bad && *r->at != ':') {
		uint64_t gap = isdigit((unsigned char)*r->at) ? number(r, 10) : 1;
		char c = *r->at;
		unsigned actor = c >= 'a' && c <= 'q' ? (unsigned)(c - 'a') :
				 c >= 'A' && c <= 'Q' ? XP_INTERRUPTS + (unsigned)(c - 'A') :
							64;

		if (actor == 64 || gap == 0) {
			complain(r, "this is no deviation");
			return 0;
		}
		r->at++;
		step += gap;
		if (!add_deviation(token, &room, step, actor))
			return -QUIRE_ENOMEM;
	}
	return 0;
}

static int read_choices(struct reader *r, struct xp_token *token)
{
	if (r->bad)
		return 0;
	if (strncmp(r->at, "list-", 5) == 0) {
		r->at += 5;
		return read_list(r, token);
	}
	if (strncmp(r->at, "pct", 3) == 0) {
		r->at += 3;
		token->strategy = EXPLORE_PCT;
		token->depth = (unsigned)number(r, 10);
		expect(r, "-");
		token->expected_steps = number(r, 10);
	} else {
		expect(r, "random");
		token->strategy = EXPLORE_RANDOM;
	}
	expect(r, "-");
	token->seed = number(r, 16);
	return 0;
}

static void read_name(struct reader *r, struct xp_token *token)
{
	size_t bytes = strcspn(r->at, ":");

	if (r->bad)
		return;
	if (bytes == 0 || bytes >= sizeof(token->name)) {
		complain(r, "the name of the program is missing or too long");
		return;
	}
	memcpy(token->name, r->at, bytes);
	token->name[bytes] = '\0';
	r->at += bytes;
}

static void read_marks(struct reader *r, struct xp_token *token)
{
	for (unsigned i = 0; !r->bad && *r->at != ':'; i++) {
		char digits[5] = "";

		if (i == XP_NR_CHECKPOINTS || strnlen(r->at, 4) < 4) {
			complain(r, "the marks are wrong");
			return;
		}
		memcpy(digits, r->at, 4);
		token->checkpoints[i] = (uint16_t)strtoul(digits, NULL, 16);
		r->at += 4;
	}
}

int xp_token_read(const char *text, struct xp_token *ret_token, char *why, size_t why_bytes)
{
	struct reader r = { .at = text, .start = text, .why = why, .why_bytes = why_bytes };
	struct xp_token token = { .nr = 0 };
	int ret;

	expect(&r, "XP1:");
	read_name(&r, &token);
	expect(&r, ":");
	token.build = number(&r, 16);
	expect(&r, ":");
	token.fail_nth = number(&r, 10);
	expect(&r, ":");
	ret = read_choices(&r, &token);
	if (ret)
		goto out;
	expect(&r, ":");
	token.steps = number(&r, 10);
	expect(&r, ".");
	token.hash = number(&r, 16);
	expect(&r, ":");
	read_marks(&r, &token);
	if (!r.bad) {
		uint32_t crc = crc32_of(text, (size_t)(r.at - text));

		expect(&r, ":");
		if (number(&r, 16) != crc || *r.at != '\0')
			complain(&r, "the check sum does not match");
	}
	ret = r.bad ? -QUIRE_EINVAL : 0;
out:
	if (ret)
		free(token.list);
	else
		*ret_token = token;
	return ret;
}
