/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where two outcomes of one program first differ, and how to show it.
 *
 * Everything is compared exactly.  Only what is mapped has no common name on
 * both sides: there the names of one snapshot must correspond one to one.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <string.h>

#include "outcome.h"

static const char *const what_names[DIFF_NR_WHATS] = {
	"nothing", "failure of a side", "existence of the process", "result", "signal",
	"fault address", "data", "faults", "maps", "pages", "counts", "contents",
};

static const char *const signal_names[] = { "none", "SEGV_MAPERR", "SEGV_ACCERR", "SIGBUS",
					    "OOM" };

const char *diff_what_name(enum diff_what what)
{
	return what < DIFF_NR_WHATS ? what_names[what] : "?";
}

static const char *signal_name(uint32_t signal)
{
	return signal < sizeof(signal_names) / sizeof(signal_names[0]) ? signal_names[signal]
								       : "other";
}

/* ---- parts ----------------------------------------------------------------------------- */

/* Is a difference in that part of an operation's result one that is meant? */
static bool deliberate_part(const struct diff_program *program, uint32_t op, enum diff_what what,
			    uint64_t left, uint64_t right)
{
	return (what == DIFF_IN_FAULTS && deliberate_faults(program, left, right)) ||
	       (what == DIFF_IN_DATA && deliberate_data(program, &program->ops[op]));
}

static bool differs_in_result(const struct diff_program *program, uint32_t op,
			      const struct diff_result *l, const struct diff_result *r,
			      struct diff_difference *difference)
{
	const struct {
		enum diff_what what;
		uint64_t left, right;
	} fields[] = {
		{ DIFF_IN_SKIP, l->skipped, r->skipped },
		{ DIFF_IN_RESULT, (uint64_t)l->ret, (uint64_t)r->ret },
		{ DIFF_IN_SIGNAL, l->signal, r->signal },
		{ DIFF_IN_FAULT_ADDR, l->fault_addr, r->fault_addr },
		{ DIFF_IN_DATA, l->data, r->data },
		{ DIFF_IN_FAULTS, l->faults, r->faults },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (fields[i].left == fields[i].right ||
		    deliberate_part(program, op, fields[i].what, fields[i].left, fields[i].right))
			continue;
		difference->what = fields[i].what;
		snprintf(difference->text, sizeof(difference->text), "0x%" PRIx64 " against 0x%" PRIx64,
			 fields[i].left, fields[i].right);
		return true;
	}
	return false;
}

/* Do the two names of what line `line` maps correspond, as in the lines before? */
static bool same_object(const struct diff_snapshot *l, const struct diff_snapshot *r, uint32_t line)
{
	const uint64_t left = l->maps[line].object, right = r->maps[line].object;

	if (!left != !right)
		return false;
	for (uint32_t i = 0; i < line; i++)
		if ((l->maps[i].object == left) != (r->maps[i].object == right))
			return false;
	return true;
}

static bool differs_in_maps(const struct diff_snapshot *l, const struct diff_snapshot *r,
			    struct diff_difference *difference)
{
	const uint32_t nr = l->nr_maps < r->nr_maps ? l->nr_maps : r->nr_maps;

	difference->what = DIFF_IN_MAPS;
	for (uint32_t i = 0; i < nr; i++) {
		const struct diff_map *a = &l->maps[i], *b = &r->maps[i];
		const char *part = a->start != b->start	    ? "start"
				   : a->end != b->end	    ? "end"
				   : a->prot != b->prot	    ? "protection"
				   : a->shared != b->shared ? "sharing"
				   : a->offset != b->offset ? "offset"
				   : !same_object(l, r, i)  ? "object"
				   : a->flags != b->flags ? "flags"
							   : NULL;

		if (!part)
			continue;
		snprintf(difference->text, sizeof(difference->text), "the %s of line %u", part, i);
		return true;
	}
	snprintf(difference->text, sizeof(difference->text), "%u lines against %u", l->nr_maps,
		 r->nr_maps);
	return l->nr_maps != r->nr_maps;
}

/* What one side is unsure of does not differ. */
static bool same_page(uint8_t l, uint8_t r)
{
	const uint8_t unsure = (l | r) & DIFF_PAGE_UNSURE ? DIFF_PAGE_UNSURE | DIFF_PAGE_ALONE : 0;

	return ((l ^ r) & ~unsure) == 0;
}

static const char *print_page(char *text, size_t room, uint8_t page)
{
	snprintf(text, room, "%s%s%s",
		 !(page & DIFF_PAGE_PRESENT) ? "absent"
		 : page & DIFF_PAGE_ZERO     ? "zero"
		 : page & DIFF_PAGE_FILE     ? "file's"
					     : "anonymous",
		 page & DIFF_PAGE_ALONE ? ", alone" : "", page & DIFF_PAGE_HUGE ? ", huge" : "");
	return text;
}

static bool differs_in_pages(const struct diff_program *program, const struct diff_snapshot *l,
			     const struct diff_snapshot *r, struct diff_difference *difference)
{
	char left[32], right[32];

	difference->what = DIFF_IN_PAGES;
	for (uint32_t i = 0; i < l->nr_pages && i < r->nr_pages; i++) {
		if (same_page(l->pages[i], r->pages[i]) ||
		    deliberate_page(program, l->pages[i], r->pages[i]))
			continue;
		snprintf(difference->text, sizeof(difference->text),
			 "page 0x%" PRIx64 ": %s against %s", l->start + i * DIFF_PAGE,
			 print_page(left, sizeof(left), l->pages[i]),
			 print_page(right, sizeof(right), r->pages[i]));
		return true;
	}
	return false;
}

static bool differs_in_counts(const struct diff_program *program, const struct diff_snapshot *l,
			      const struct diff_snapshot *r, struct diff_difference *difference)
{
	static const char *const names[DIFF_NR_COUNTS] = {
#define DIFF_COUNT_NAME(name) #name,
		DIFF_COUNT_LIST(DIFF_COUNT_NAME)
#undef DIFF_COUNT_NAME
	};

	difference->what = DIFF_IN_COUNTS;
	for (unsigned i = 0; i < DIFF_NR_COUNTS; i++) {
		if (l->counts[i] == r->counts[i] ||
		    deliberate_count(program, i, l->counts[i], r->counts[i]))
			continue;
		snprintf(difference->text, sizeof(difference->text),
			 "%s pages: %" PRIu64 " against %" PRIu64, names[i], l->counts[i],
			 r->counts[i]);
		return true;
	}
	return false;
}

static void print_swept(char *text, size_t room, uint64_t word)
{
	if (word >= diff_sweep_signal(0))
		snprintf(text, room, "%s", signal_name((uint32_t)(word & 0xff)));
	else
		snprintf(text, room, "bytes with hash %" PRIx64, word);
}

static bool differs_in_sweep(const struct diff_snapshot *l, const struct diff_snapshot *r,
			     struct diff_difference *difference)
{
	char left[64], right[64];

	difference->what = DIFF_IN_SWEEP;
	for (uint32_t i = 0; i < l->nr_sweep && i < r->nr_sweep; i++) {
		if (l->sweep[i] == r->sweep[i])
			continue;
		print_swept(left, sizeof(left), l->sweep[i]);
		print_swept(right, sizeof(right), r->sweep[i]);
		snprintf(difference->text, sizeof(difference->text), "page %u: %s against %s", i, left,
			 right);
		return true;
	}
	snprintf(difference->text, sizeof(difference->text), "%u pages against %u", l->nr_sweep,
		 r->nr_sweep);
	return l->nr_sweep != r->nr_sweep;
}

/* What the look or sweep `op` saw. */
static bool differs_in_snapshot(const struct diff_program *program, uint32_t op,
				const struct diff_outcome *left, const struct diff_outcome *right,
				struct diff_difference *difference)
{
	const struct diff_snapshot *l = outcome_find(left, op), *r = outcome_find(right, op);

	if (!l && !r)
		return false;
	if (!l || !r) {
		difference->what = DIFF_IN_SKIP;
		snprintf(difference->text, sizeof(difference->text), "one side did not look");
		return true;
	}
	return differs_in_maps(l, r, difference) || differs_in_pages(program, l, r, difference) ||
	       differs_in_counts(program, l, r, difference) || differs_in_sweep(l, r, difference);
}

void compare_outcomes(const struct diff_program *program, const struct diff_outcome *left,
		      const struct diff_outcome *right, struct diff_difference *ret_difference)
{
	memset(ret_difference, 0, sizeof(*ret_difference));
	if (left->failure[0] || right->failure[0]) {
		ret_difference->what = DIFF_IN_FAILURE;
		snprintf(ret_difference->text, sizeof(ret_difference->text), "%.240s",
			 left->failure[0] ? left->failure : right->failure);
		return;
	}
	for (uint32_t i = 0; i < program->nr_ops; i++) {
		const uint8_t kind = program->ops[i].kind;

		ret_difference->op = i;
		if (differs_in_result(program, i, &left->results[i], &right->results[i],
				      ret_difference))
			return;
		if ((kind == DIFF_look || kind == DIFF_sweep) &&
		    differs_in_snapshot(program, i, left, right, ret_difference))
			return;
	}
	memset(ret_difference, 0, sizeof(*ret_difference));
}

/* ---- showing --------------------------------------------------------------------------------- */

static void format_result(char *text, size_t room, const struct diff_op *op,
			  const struct diff_result *result)
{
	if (result->skipped)
		snprintf(text, room, "(no such process)");
	else if (op->kind == DIFF_read || op->kind == DIFF_write || op->kind == DIFF_exec)
		snprintf(text, room, "%s 0x%" PRIx64 " %" PRIu64 "f",
			 result->signal ? signal_name(result->signal) : "ok",
			 result->signal ? result->fault_addr : result->data, result->faults);
	else if (op->kind == DIFF_fill || op->kind == DIFF_scan)
		snprintf(text, room, "%" PRIi64 " pages, %s, 0x%" PRIx64 " %" PRIu64 "f", result->ret,
			 signal_name(result->signal), result->data, result->faults);
	else if (result->ret < 0)
		snprintf(text, room, "-%s", strerrorname_np((int)-result->ret)
						 ? strerrorname_np((int)-result->ret)
						 : "?");
	else
		snprintf(text, room, "0x%" PRIx64 "%s", (uint64_t)result->ret,
			 op->kind == DIFF_mincore || op->kind == DIFF_pread ? " +data" : "");
}

/* Those that the line says anyway, or that nearly all have. */
#define PLAIN_FLAGS                                                                  \
	((uint32_t)(QUIRE_MAPF_READ | QUIRE_MAPF_WRITE | QUIRE_MAPF_EXEC |           \
		    QUIRE_MAPF_SHARED | QUIRE_MAPF_MAYREAD | QUIRE_MAPF_MAYEXEC))

static void format_map(char *text, size_t room, const struct diff_snapshot *snapshot, uint32_t line)
{
	const struct diff_map *map;
	int used;

	text[0] = '\0';
	if (!snapshot || line >= snapshot->nr_maps)
		return;
	map = &snapshot->maps[line];
	used = snprintf(text, room, "%012" PRIx64 "-%012" PRIx64 " %c%c%c%c %06" PRIx64 " %" PRIx64,
			map->start, map->end, map->prot & QUIRE_PROT_READ ? 'r' : '-',
			map->prot & QUIRE_PROT_WRITE ? 'w' : '-',
			map->prot & QUIRE_PROT_EXEC ? 'x' : '-', map->shared ? 's' : 'p',
			map->offset, map->object);
	for (unsigned bit = 0; bit < 32 && used > 0 && (size_t)used < room; bit++)
		if (map->flags & ~PLAIN_FLAGS & UINT32_C(1) << bit)
			used += snprintf(text + used, room - (size_t)used, " %s",
					 diff_flag_letters(bit));
}

/* Runs of pages that differ in the same way. */
static void print_pages(FILE *to, const struct diff_snapshot *l, const struct diff_snapshot *r)
{
	char left[32], right[32];

	for (uint32_t i = 0, nr; l && r && i < l->nr_pages && i < r->nr_pages; i += nr) {
		nr = 1;
		if (same_page(l->pages[i], r->pages[i]))
			continue;
		while (i + nr < l->nr_pages && i + nr < r->nr_pages &&
		       l->pages[i + nr] == l->pages[i] && r->pages[i + nr] == r->pages[i])
			nr++;
		fprintf(to, "  page %012" PRIx64 " and %u behind it: %s against %s\n",
			l->start + i * DIFF_PAGE, nr - 1,
			print_page(left, sizeof(left), l->pages[i]),
			print_page(right, sizeof(right), r->pages[i]));
	}
}

static void print_maps(FILE *to, const struct diff_snapshot *l, const struct diff_snapshot *r)
{
	const uint32_t left = l ? l->nr_maps : 0, right = r ? r->nr_maps : 0;
	char a[160], b[160];

	for (uint32_t i = 0; i < (left > right ? left : right); i++) {
		format_map(a, sizeof(a), l, i);
		format_map(b, sizeof(b), r, i);
		fprintf(to, "  %-58s %s\n", a, b);
	}
	print_pages(to, l, r);
}

/* The last snapshots with maps that both made no later than operation `op`. */
static void print_last_maps(FILE *to, const struct diff_program *program,
			    const struct diff_outcome *left, const struct diff_outcome *right,
			    uint32_t op)
{
	for (uint32_t i = op + 1; i-- > 0;) {
		if (program->ops[i].kind != DIFF_look || !outcome_find(left, i) ||
		    !outcome_find(right, i))
			continue;
		fprintf(to, "# maps at operation %u\n", i);
		print_maps(to, outcome_find(left, i), outcome_find(right, i));
		return;
	}
}

void print_difference(FILE *to, const struct diff_program *program,
		      const struct diff_outcome *left, const char *left_name,
		      const struct diff_outcome *right, const char *right_name,
		      const struct diff_difference *difference)
{
	char a[64], b[64];

	if (difference->what == DIFF_SAME)
		fprintf(to, "# seed %" PRIu64 ": no difference\n", program->seed);
	else
		fprintf(to, "# seed %" PRIu64 ": difference in the %s, operation %u: %s\n",
			program->seed, diff_what_name(difference->what), difference->op,
			difference->text);
	fprintf(to, "# each line: operation  # %s | %s\n", left_name, right_name);
	for (uint32_t i = 0; i < program->nr_ops; i++) {
		const struct diff_op *op = &program->ops[i];

		if (op->kind == DIFF_nop)
			continue;
		text_print_op(to, i, op);
		format_result(a, sizeof(a), op, &left->results[i]);
		format_result(b, sizeof(b), op, &right->results[i]);
		fprintf(to, "  # %s | %s%s\n", a, b,
			i == difference->op && difference->what > DIFF_IN_FAILURE ? "   <====" : "");
	}
	print_last_maps(to, program, left, right, difference->op);
}
