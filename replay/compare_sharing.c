/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arena: what each alternative of the decision `sharing` answered on a
 * recording, held against the page tables, and what it cost.
 */
#include <inttypes.h>

#include "compare.h"
#include "output.h"

#define CELL 24

/* "1.00/1.00": of a map and of an unmap; "-" when there was none. */
static const char *format_pair(const struct quire_sharing_score *score, bool locks, char *buf)
{
	const struct quire_sharing_updates *map = &score->maps, *unmap = &score->unmaps;

	if (map->nr == 0 || unmap->nr == 0)
		return "-";
	snprintf(buf, CELL, "%.2f/%.2f",
		 (double)(locks ? map->locks : map->atomics) / (double)map->nr,
		 (double)(locks ? unmap->locks : unmap->atomics) / (double)unmap->nr);
	return buf;
}

static void print_rival(FILE *out, const struct compare_run *run)
{
	const struct quire_sharing_score *s = &run->sharing;
	const struct quire_alternative_info *rival = quire_alternative_info(
		(enum quire_alternative)run->decisions.chosen[QUIRE_DECISION_sharing]);
	char a[CELL], b[CELL], c[CELL], d[CELL], e[CELL];

	fprintf(out, "  %-15s %-5s %7s %7s %9s %8s", rival->name, rival->sound ? "yes" : "no!",
		format_count(s->queries, a, CELL), format_count(s->false_shared, b, CELL),
		format_count(s->false_exclusive, c, CELL),
		format_count(run->cost.cow_copies, d, CELL));
	fprintf(out, " %7s", format_count(s->copies_avoided, e, CELL));
	fprintf(out, " %9s %9s %5" PRIu32 " %7.1f\n", format_pair(s, false, a),
		format_pair(s, true, b), s->bytes_per_folio,
		(double)compare_median_ns(run) / 1e6);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_met(FILE *out, const char *what, const struct quire_sharing_met *met)
{
	char a[CELL], b[CELL], c[CELL];

	fprintf(out, "  %-22s %9s %10s (%4.1f %%) %10s (%4.1f %%)\n", what,
		format_count(met->folios, a, CELL), format_count(met->by_two, b, CELL),
		percent(met->by_two, met->folios), format_count(met->by_three, c, CELL),
		percent(met->by_three, met->folios));
}

/* Two slots hold two: this is where mm-ids may have to guess. */
static void print_all_met(FILE *out, const struct quire_sharing_score *s)
{
	char a[CELL], b[CELL];

	fprintf(out, "\n  %-22s %9s %19s %19s\n", "large folios, mapped", "in all",
		"by two mms or more", "by three or more");
	print_met(out, "anonymous", &s->anon);
	print_met(out, "of files", &s->file);
	if (s->anon.folios + s->file.folios == 0)
		fprintf(out, "  The program asked for none: --folios 64k, or all, gives it some.\n");
	else
		fprintf(out, "  queries of folios that three or more mms had met on: %s of %s\n",
			format_count(s->queries_met_by_three, a, CELL),
			format_count(s->queries, b, CELL));
}

void compare_print_sharing(FILE *out, const struct compare_run *runs, unsigned nr)
{
	const struct quire_sharing_score *any = &runs[0].sharing;

	fprintf(out, "  %-15s %-5s %7s %7s %9s %8s %7s %9s %9s %5s %7s\n", "", "", "", "false",
		"false", "", "copies", "atomics", "locks", "bytes", "replay");
	fprintf(out, "  %-15s %-5s %7s %7s %9s %8s %7s %9s %9s %5s %7s\n", "", "sound", "queries",
		"shared", "exclusive", "copies", "avoided", "map/unmap", "map/unmap", "folio", "ms");
	for (unsigned i = 0; i < nr; i++)
		print_rival(out, &runs[i]);
	print_all_met(out, any);
	fprintf(out, "\n  A query: a write to a page of a large folio that fork shared.  Copies avoided: those\n"
		     "  that kept the page.  Atomics and locks: of one update for a batch of pages; the references\n"
		     "  that go with it are one atomic more, but with one-word.\n");
}

/* Of one update; null when there was none. */
static json_t *per_update(uint64_t sum, const struct quire_sharing_updates *updates)
{
	return updates->nr ? json_real((double)sum / (double)updates->nr) : json_null();
}

static json_t *count(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *met_json(const struct quire_sharing_met *met)
{
	return json_pack("{s:o, s:o, s:o}", "folios", count(met->folios), "met_by_two",
			 count(met->by_two), "met_by_three", count(met->by_three));
}

json_t *compare_sharing_json(const struct quire_sharing_score *s)
{
	json_t *out = json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "queries", count(s->queries),
		"true_exclusive", count(s->true_exclusive), "true_shared", count(s->true_shared),
		"false_shared", count(s->false_shared), "false_exclusive",
		count(s->false_exclusive), "unjudged", count(s->unjudged),
		"queries_met_by_three", count(s->queries_met_by_three));

	if (!out)
		return NULL;
	json_object_set_new(out, "copies_avoided", count(s->copies_avoided));
	json_object_set_new(out, "pages_reused", count(s->pages_reused));
	json_object_set_new(out, "maps", count(s->maps.nr));
	json_object_set_new(out, "unmaps", count(s->unmaps.nr));
	json_object_set_new(out, "atomics_per_map", per_update(s->maps.atomics, &s->maps));
	json_object_set_new(out, "atomics_per_unmap", per_update(s->unmaps.atomics, &s->unmaps));
	json_object_set_new(out, "locks_per_map", per_update(s->maps.locks, &s->maps));
	json_object_set_new(out, "locks_per_unmap", per_update(s->unmaps.locks, &s->unmaps));
	json_object_set_new(out, "bytes_per_folio", count(s->bytes_per_folio));
	json_object_set_new(out, "anonymous", met_json(&s->anon));
	json_object_set_new(out, "files", met_json(&s->file));
	return out;
}
