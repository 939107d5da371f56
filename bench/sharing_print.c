/* SPDX-License-Identifier: BSD-2-Clause */
/* What `quire bench sharing` found, as tables of at most 100 columns and as JSON. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "bench/sharing.h"

/* ---- the letter's operations ------------------------------------------------------- */

static void print_cell(FILE *out, const struct figure *figure, double value, const char *format)
{
	char text[32] = "-";

	if (figure->there && !isnan(value))
		snprintf(text, sizeof(text), format, value);
	fprintf(out, " %8s", text);
}

static void print_operation(FILE *out, const struct letter_figures *f, unsigned size, unsigned op)
{
	const struct figure *at = f->at[size][op];
	unsigned nr = folio_sizes[size].order == 0 ? 1 : NR_VARIANTS;

	fprintf(out, "%-10s", operations[op].name);
	for (unsigned v = 0; v < nr; v++)
		print_cell(out, &at[v], at[v].ns, "%.2f");
	fprintf(out, "\n  ratio   ");
	for (unsigned v = 0; v < nr; v++)
		print_cell(out, &at[v], at[v].ratio, "%.2f");
	fprintf(out, "\n  atomics ");
	for (unsigned v = 0; v < nr; v++)
		print_cell(out, &at[v], at[v].atomics, "%.3f");
	fprintf(out, "\n  locks   ");
	for (unsigned v = 0; v < nr; v++)
		print_cell(out, &at[v], at[v].locks, "%.3f");
	fputc('\n', out);
}

static void print_size(FILE *out, const struct letter_figures *f, unsigned size)
{
	unsigned nr = folio_sizes[size].order == 0 ? 1 : NR_VARIANTS;

	fprintf(out, "\n%-10s", folio_sizes[size].name);
	for (unsigned v = 0; v < nr; v++)
		fprintf(out, " %8s", nr == 1 ? "any" : variants[v].head);
	fputc('\n', out);
	for (unsigned op = 0; op < NR_OPERATIONS; op++)
		if (letter_has(size, op, 0))
			print_operation(out, f, size, op);
}

void letter_print(FILE *out, const struct letter_figures *f)
{
	fprintf(out, "On %llu MiB of anonymous memory, by the size of its folios: ns of CPU time per page\n"
		     "(medians of %u rounds, in turns), the median ratio to moments, atomics and locks per page.\n",
		(unsigned long long)(f->bytes >> 20), f->rounds);
	fprintf(out, "Alternatives of `sharing`, -locked and -wide of moments, total: total-mapcount (a\n"
		     "guess); by-page: moments with reuse-scope=page; per-sub: with nr-mapped=per-subpage.\n"
		     "2m: mapped by PMD entries; 2m-pages: by pages, as the others.\n"
		     "A lock is an atomic more; that of mm-ids is a bit and counted in both.\n");
	for (unsigned op = 0; op < NR_OPERATIONS; op++)
		fprintf(out, "  %-11s %s\n", operations[op].name, operations[op].what);
	for (unsigned size = 0; size < NR_FOLIO_SIZES; size++)
		if (f->wanted[size])
			print_size(out, f, size);
}

static json_t *number(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

json_t *letter_json(const struct letter_figures *f)
{
	json_t *list = json_array();

	for (unsigned size = 0; size < NR_FOLIO_SIZES; size++)
		for (unsigned op = 0; op < NR_OPERATIONS; op++)
			for (unsigned v = 0; v < NR_VARIANTS; v++) {
				const struct figure *at = &f->at[size][op][v];

				if (!at->there)
					continue;
				json_array_append_new(list, json_pack(
					"{s:s, s:s, s:s, s:s, s:f, s:f, s:o, s:o}", "folios",
					folio_sizes[size].name, "operation", operations[op].name,
					"decision", variants[v].row, "alternative",
					variants[v].alternative, "ns_per_page", at->ns, "ratio",
					at->ratio, "atomics_per_page", number(at->atomics),
					"locks_per_page", number(at->locks)));
			}
	return list;
}

/* ---- counts of another run ------------------------------------------------------------ */

static bool says(const json_t *object, const char *key, const char *value)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL && strcmp(text, value) == 0;
}

/* The run's figure for this place, or NULL. */
static const json_t *find_result(const json_t *results, unsigned size, unsigned op, unsigned v)
{
	for (size_t i = 0; i < json_array_size(results); i++) {
		const json_t *at = json_array_get(results, i);

		if (says(at, "folios", folio_sizes[size].name) &&
		    says(at, "operation", operations[op].name) &&
		    says(at, "decision", variants[v].row) &&
		    says(at, "alternative", variants[v].alternative))
			return at;
	}
	return NULL;
}

static double number_at(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

void letter_take_counts(struct letter_figures *f, const json_t *json)
{
	const json_t *results = json_object_get(json, "results");

	for (unsigned size = 0; size < NR_FOLIO_SIZES; size++)
		for (unsigned op = 0; op < NR_OPERATIONS; op++)
			for (unsigned v = 0; v < NR_VARIANTS; v++) {
				const json_t *from = find_result(results, size, op, v);

				f->at[size][op][v].atomics = number_at(from, "atomics_per_page");
				f->at[size][op][v].locks = number_at(from, "locks_per_page");
			}
}

/* ---- one folio's state alone ------------------------------------------------------------ */

static void print_updates(FILE *out, const struct room_figures *f)
{
	fprintf(out, "\nAn update of a folio's state, nobody else there: ns, ratio to mm-ids\n%-18s", "");
	for (unsigned c = 0; c < NR_UPDATE_CASES; c++)
		fprintf(out, "   %24s", update_case_names[c]);
	fputc('\n', out);
	for (unsigned rival = 0; rival < f->nr_rivals; rival++) {
		fprintf(out, "%-18s", f->names[rival]);
		for (unsigned c = 0; c < NR_UPDATE_CASES; c++)
			fprintf(out, "   %15.2f %8.2f", f->updates[c][rival].ns,
				f->updates[c][rival].ratio);
		fputc('\n', out);
	}
	fprintf(out, "moments / mm-ids: %.2f (asked: at most 1.30)\n", room_moments_ratio(f));
}

static void print_contention(FILE *out, const struct room_figures *f, unsigned batch)
{
	fprintf(out, "\nUp to %d threads map and unmap %u page%s of one folio, an mm each, on %ld cores:\n"
		     "ns per update, all threads together; updates a second to those of one thread\n",
		ROOM_MAX_THREADS, room_batches[batch], room_batches[batch] == 1 ? "" : "s",
		sysconf(_SC_NPROCESSORS_ONLN));
	fprintf(out, "%-18s", "threads");
	for (int nr = 1; nr <= ROOM_MAX_THREADS; nr++)
		fprintf(out, " %8d", nr);
	fprintf(out, "   ");
	for (int nr = 2; nr <= ROOM_MAX_THREADS; nr++)
		fprintf(out, " %8d", nr);
	fputc('\n', out);
	for (unsigned rival = 0; rival < f->nr_rivals; rival++) {
		const double *ns = f->contended_ns[batch][rival];

		fprintf(out, "%-18s", f->names[rival]);
		for (int nr = 1; nr <= ROOM_MAX_THREADS; nr++)
			fprintf(out, " %8.1f", ns[nr - 1]);
		fprintf(out, "   ");
		for (int nr = 2; nr <= ROOM_MAX_THREADS; nr++)
			fprintf(out, " %8.2f", ns[0] / ns[nr - 1]);
		fputc('\n', out);
	}
}

void room_print(FILE *out, const struct room_figures *f)
{
	print_updates(out, f);
	for (unsigned batch = 0; batch < NR_BATCHES; batch++)
		print_contention(out, f, batch);
}

json_t *room_json(const struct room_figures *f)
{
	json_t *updates = json_array(), *contention = json_array();

	for (unsigned rival = 0; rival < f->nr_rivals; rival++) {
		for (unsigned c = 0; c < NR_UPDATE_CASES; c++)
			json_array_append_new(updates, json_pack(
				"{s:s, s:s, s:f, s:f}", "alternative", f->names[rival], "case",
				update_case_names[c], "ns", f->updates[c][rival].ns,
				"ratio_to_mm_ids", f->updates[c][rival].ratio));
		for (unsigned batch = 0; batch < NR_BATCHES; batch++)
			for (int nr = 1; nr <= ROOM_MAX_THREADS; nr++)
				json_array_append_new(contention, json_pack(
					"{s:s, s:i, s:i, s:f}", "alternative", f->names[rival],
					"pages", (int)room_batches[batch], "threads", nr,
					"ns_per_update", f->contended_ns[batch][rival][nr - 1]));
	}
	return json_pack("{s:i, s:o, s:f, s:o}", "cores", (int)sysconf(_SC_NPROCESSORS_ONLN),
			 "updates", updates, "moments_to_mm_ids", room_moments_ratio(f),
			 "contention", contention);
}
