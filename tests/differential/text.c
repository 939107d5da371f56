/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs as text: what a report prints is what --replay reads.
 *
 *     # seed 7
 *     # any other comment
 *     4 p0 mmap addr=arena-0x2000 len=0x4000 prot=0x3 flags=0x32 file=-1 off=0x0
 *     7 p0 mprotect addr=op4+0x1000 len=0x1000 prot=0x1
 *
 * First the number of the operation, by which others refer to its result: it
 * rises from line to line, and numbers left out are operations that do
 * nothing.  Then the process, the kind, and the fields of the kind.  The seed
 * chooses the decisions that the core runs with; none: the defaults.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "outcome.h"

static const struct {
	const char *name, *fields;
} kinds[DIFF_NR_KINDS] = {
#define DIFF_OP_ROW(name, fields) { #name, fields },
	DIFF_OP_LIST(DIFF_OP_ROW)
#undef DIFF_OP_ROW
};

enum field { FIELD_addr, FIELD_addr2, FIELD_len, FIELD_newlen, FIELD_prot, FIELD_flags,
	     FIELD_value, FIELD_off, FIELD_file, NR_FIELDS };
static const char *const field_names[NR_FIELDS] = {
	"addr", "addr2", "len", "newlen", "prot", "flags", "value", "off", "file",
};

const char *diff_kind_name(unsigned kind)
{
	return kind < DIFF_NR_KINDS ? kinds[kind].name : "?";
}

/* Is `name`, of `len` characters, a word of `words`? */
static bool has_word(const char *words, const char *name, size_t len)
{
	for (const char *at = words; *at; at += strspn(at, " ")) {
		const size_t word = strcspn(at, " ");

		if (word == len && !strncmp(at, name, len))
			return true;
		at += word;
	}
	return false;
}

/* ---- printing ---------------------------------------------------------------------- */

static void print_addr(FILE *to, const struct diff_addr *addr)
{
	const char sign = addr->offset < 0 ? '-' : '+';
	const uint64_t size = addr->offset < 0 ? -(uint64_t)addr->offset : (uint64_t)addr->offset;

	if (addr->base == DIFF_ABSOLUTE)
		fprintf(to, "0x%" PRIx64, (uint64_t)addr->offset);
	else if (addr->base == DIFF_RESULT)
		fprintf(to, "op%u%c0x%" PRIx64, addr->op, sign, size);
	else
		fprintf(to, "%s%c0x%" PRIx64,
			addr->base == DIFF_ARENA ? "arena" : addr->base == DIFF_BRK ? "brk" : "special",
			sign, size);
}

static void print_field(FILE *to, enum field field, const struct diff_op *op)
{
	const uint64_t values[NR_FIELDS] = {
		[FIELD_len] = op->len,	   [FIELD_newlen] = op->newlen, [FIELD_prot] = op->prot,
		[FIELD_flags] = op->flags, [FIELD_value] = op->value,	[FIELD_off] = op->off,
	};

	if (op->kind == DIFF_look && !op->len && (field == FIELD_addr || field == FIELD_len))
		return;
	fprintf(to, " %s=", field_names[field]);
	if (field == FIELD_addr)
		print_addr(to, &op->addr);
	else if (field == FIELD_addr2)
		print_addr(to, &op->addr2);
	else if (field == FIELD_file)
		fprintf(to, "%d", op->file);
	else
		fprintf(to, "0x%" PRIx64, values[field]);
}

void text_print_op(FILE *to, uint32_t index, const struct diff_op *op)
{
	fprintf(to, "%u p%u %s", index, op->who, diff_kind_name(op->kind));
	for (unsigned field = 0; field < NR_FIELDS; field++)
		if (has_word(kinds[op->kind].fields, field_names[field],
			     strlen(field_names[field])))
			print_field(to, field, op);
}

void text_print_program(FILE *to, const struct diff_program *program)
{
	fprintf(to, "# seed %" PRIu64 "\n", program->seed);
	for (uint32_t i = 0; i < program->nr_ops; i++) {
		if (program->ops[i].kind == DIFF_nop)
			continue;
		text_print_op(to, i, &program->ops[i]);
		fputc('\n', to);
	}
}

/* ---- reading ------------------------------------------------------------------------ */

static int parse_number(const char *text, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -1;
	*ret = strtoull(text, &end, 0);
	return *end ? -1 : 0;
}

static int parse_addr(const char *text, uint32_t index, struct diff_addr *ret)
{
	const size_t base = strcspn(text, "+-");
	uint64_t number, op;
	char name[16];

	memset(ret, 0, sizeof(*ret));
	if (isdigit((unsigned char)text[0])) {
		if (parse_number(text, &number))
			return -1;
		ret->offset = (int64_t)number;
		return 0;
	}
	if (!text[base] || base >= sizeof(name) || parse_number(text + base + 1, &number))
		return -1;
	ret->offset = text[base] == '-' ? (int64_t)-number : (int64_t)number;
	snprintf(name, sizeof(name), "%.*s", (int)base, text);
	if (!strcmp(name, "arena")) {
		ret->base = DIFF_ARENA;
	} else if (!strcmp(name, "brk")) {
		ret->base = DIFF_BRK;
	} else if (!strcmp(name, "special")) {
		ret->base = DIFF_SPECIAL;
	} else if (!strncmp(name, "op", 2) && !parse_number(name + 2, &op) && op < index) {
		ret->base = DIFF_RESULT;
		ret->op = (uint16_t)op;
	} else {
		return -1;
	}
	return 0;
}

/* "name=value" into the operation; an error as text, or NULL. */
static const char *parse_field(char *text, uint32_t index, struct diff_op *op)
{
	const size_t name = strcspn(text, "=");
	char *const value = text + name + 1;
	uint64_t number = 0;

	if (!text[name] || !has_word(kinds[op->kind].fields, text, name))
		return "no such field here";
	if (!strncmp(text, "addr", name) && name == 4)
		return parse_addr(value, index, &op->addr) ? "bad address" : NULL;
	if (!strncmp(text, "addr2", name))
		return parse_addr(value, index, &op->addr2) ? "bad address" : NULL;
	if (!strncmp(text, "file", name)) {
		op->file = (int16_t)atoi(value);
		return NULL;
	}
	if (parse_number(value, &number))
		return "bad number";
	if (!strncmp(text, "len", name))
		op->len = number;
	else if (!strncmp(text, "newlen", name))
		op->newlen = number;
	else if (!strncmp(text, "off", name))
		op->off = number;
	else if (number > UINT32_MAX)
		return "number too large";
	else if (!strncmp(text, "prot", name))
		op->prot = (uint32_t)number;
	else if (!strncmp(text, "flags", name))
		op->flags = (uint32_t)number;
	else
		op->value = (uint32_t)number;
	return NULL;
}

/* What a field may not say because the executors rely on it; or NULL. */
static const char *check_op(const struct diff_program *program, const struct diff_op *op)
{
	if (op->kind == DIFF_limit && (op->flags & ~DIFF_LIMIT_FROM_0) >= DIFF_NR_LIMITS)
		return "no such limit";
	if ((op->kind == DIFF_read || op->kind == DIFF_write) && op->len > DIFF_ACCESS_BYTES)
		return "access too long";
	if (op->kind == DIFF_sweep && op->len > DIFF_ARENA_PAGES * DIFF_PAGE)
		return "sweep too long";
	if ((op->kind == DIFF_look || op->kind == DIFF_fill || op->kind == DIFF_scan) &&
	    op->len > DIFF_WIDE_PAGES * DIFF_PAGE)
		return "too many pages";
	if (op->kind != DIFF_fork)
		return NULL;
	if (op->value == 0 || op->value >= DIFF_MAX_PROCS)
		return "no such process";
	for (uint32_t i = 0; i < program->nr_ops; i++)
		if (program->ops[i].kind == DIFF_fork && program->ops[i].value == op->value)
			return "that process was forked before";
	return NULL;
}

static const char *const blanks = " \t\r\n";

/* `word`: the first of a line that is a comment, or NULL.  "# seed N" counts. */
static void parse_comment(const char *word, struct diff_program *program)
{
	const char *name = word && !strcmp(word, "#") ? strtok(NULL, blanks) : NULL;
	const char *value = name && !strcmp(name, "seed") ? strtok(NULL, blanks) : NULL;

	if (value)
		program->seed = strtoull(value, NULL, 10);
}

static const char *parse_line(char *line, struct diff_program *program)
{
	uint64_t index, who;
	struct diff_op op = { .file = -1 };
	const char *error;
	char *word = strtok(line, blanks);

	if (!word || word[0] == '#') {
		parse_comment(word, program);
		return NULL;
	}
	if (parse_number(word, &index) || index < program->nr_ops || index >= DIFF_MAX_OPS)
		return "bad operation number";
	word = strtok(NULL, blanks);
	if (!word || word[0] != 'p' || parse_number(word + 1, &who) || who >= DIFF_MAX_PROCS)
		return "bad process";
	op.who = (uint8_t)who;
	word = strtok(NULL, blanks);
	while (op.kind < DIFF_NR_KINDS && (!word || strcmp(word, kinds[op.kind].name)))
		op.kind++;
	if (op.kind == DIFF_NR_KINDS)
		return "no such operation";
	while ((word = strtok(NULL, blanks)) && word[0] != '#') {
		error = parse_field(word, (uint32_t)index, &op);
		if (error)
			return error;
	}
	error = check_op(program, &op);
	if (error)
		return error;
	program->ops[index] = op;
	program->nr_ops = (uint32_t)index + 1;
	return NULL;
}

int text_read_program(const char *path, struct diff_program *ret_program)
{
	FILE *file = fopen(path, "re");
	const char *error = NULL;
	char line[512];
	unsigned nr = 0;

	if (!file) {
		fprintf(stderr, "quire-differential: %s: cannot be opened\n", path);
		return -1;
	}
	memset(ret_program, 0, sizeof(*ret_program));
	while (!error && fgets(line, sizeof(line), file)) {
		nr++;
		error = parse_line(line, ret_program);
	}
	if (!error && ferror(file))
		error = "cannot be read";
	fclose(file);
	if (!error && !ret_program->nr_ops)
		error = "no operation in it";
	if (!error)
		return 0;
	fprintf(stderr, "quire-differential: %s:%u: %s\n", path, nr, error);
	return -1;
}
