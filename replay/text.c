/* SPDX-License-Identifier: BSD-2-Clause */
/* A replay's result in a terminal: 80 columns. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#define CELL 24

const char *format_bytes(uint64_t bytes, char *buf, size_t buf_bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes == UINT64_MAX)
		return "-";
	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, buf_bytes, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buf;
}

const char *format_count(uint64_t count, char *buf, size_t buf_bytes)
{
	char digits[32];
	size_t len, used = 0;

	if (count == UINT64_MAX)
		return "-";
	snprintf(digits, sizeof(digits), "%" PRIu64, count);
	len = strlen(digits);
	for (size_t i = 0; i < len && used + 2 < buf_bytes; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf[used++] = ',';
		buf[used++] = digits[i];
	}
	buf[used] = '\0';
	return buf;
}

const char *format_gap(uint64_t ours, uint64_t theirs, char *buf, size_t buf_bytes)
{
	if (ours == UINT64_MAX || theirs == UINT64_MAX)
		return "-";
	if (ours == theirs)
		return "exact";
	if (theirs == 0)
		return "(none)";
	snprintf(buf, buf_bytes, "%+.2f %%", 100.0 * ((double)ours - (double)theirs) / (double)theirs);
	return buf;
}

const char *replay_cause(const struct replay_result *result, size_t i, char *buf,
			 size_t buf_bytes)
{
	size_t n = 0;

	if (result->nr_lost && n++ == i) {
		snprintf(buf, buf_bytes,
			 "%" PRIu64 " touches were lost while recording (buffer overflow): faults and "
			 "resident pages are short by up to that many.", result->nr_lost);
		return buf;
	}
	if (result->nr_spaces_compared < result->nr_spaces && n++ == i) {
		snprintf(buf, buf_bytes,
			 "%" PRIu64 " of %" PRIu64 " address spaces are left out on both sides: they "
			 "ended before Linux could be asked, or began before the recording.",
			 result->nr_spaces - result->nr_spaces_compared, result->nr_spaces);
		return buf;
	}
	if (strcmp(result->source, "tracepoint-exact") != 0 && n++ == i) {
		snprintf(buf, buf_bytes,
			 "The source of touches was %s: whether a touch wrote is inferred, and the "
			 "kernel's own touches may be missing.", result->source);
		return buf;
	}
	if (result->folios_chosen && n++ == i) {
		snprintf(buf, buf_bytes,
			 "Which folios there are was chosen, and is not the recorded Linux's "
			 "setting: with larger ones fewer faults, more resident pages.");
		return buf;
	}
	if (result->nr_skipped_calls && n++ == i) {
		snprintf(buf, buf_bytes,
			 "%" PRIu64 " calls gave advice that the core does not take (COLD, PAGEOUT and "
			 "the like).", result->nr_skipped_calls);
		return buf;
	}
	if (n++ == i) {
		snprintf(buf, buf_bytes,
			 "Linux batches its resident-set counters per CPU or thread: each address "
			 "space's peak may be off by tens of pages.");
		return buf;
	}
	return NULL;
}

static void print_row(FILE *out, const char *name, const char *theirs, const char *ours,
		      const char *gap)
{
	fprintf(out, "  %-26s %15s %15s %12s\n", name, theirs, ours, gap);
}

static void print_count_row(FILE *out, const char *name, uint64_t theirs, uint64_t ours)
{
	char a[CELL], b[CELL], c[CELL];

	print_row(out, name, format_count(theirs, a, CELL), format_count(ours, b, CELL),
		  format_gap(ours, theirs, c, CELL));
}

static void print_bytes_row(FILE *out, const char *name, uint64_t theirs, uint64_t ours)
{
	char a[CELL], b[CELL], c[CELL];

	print_row(out, name, format_bytes(theirs, a, CELL), format_bytes(ours, b, CELL),
		  format_gap(ours, theirs, c, CELL));
}

static void print_comparison(FILE *out, const struct replay_result *r)
{
	const struct replay_figures *l = &r->linux_said, *q = &r->quire_says;
	char a[CELL], b[CELL];

	fprintf(out, "\n");
	print_row(out, "", "Linux said", "Quire says", "gap");
	print_count_row(out, "faults", l->faults, q->faults);
	print_count_row(out, "copies on write", UINT64_MAX, q->cow_copies);
	print_bytes_row(out, "peak RSS, summed", l->peak_rss_bytes, q->peak_rss_bytes);
	print_bytes_row(out, "peak page tables, summed", l->peak_page_table_bytes,
			q->peak_page_table_bytes);
	print_count_row(out, "VMAs at the end", l->vmas, q->vmas);
	print_count_row(out, "address spaces whose final", r->nr_spaces_compared,
			r->nr_spaces_maps_equal);
	fprintf(out, "    maps are equal\n");
	fprintf(out, "\n  places chosen alike: %s of %s;", format_count(r->nr_placed_alike, a, CELL),
		format_count(r->nr_placed, b, CELL));
	fprintf(out, " results alike: %s of %s\n", format_count(r->nr_results_alike, a, CELL),
		format_count(r->nr_results_alike + r->nr_results_different, b, CELL));
}

static int by_peak(const void *a, const void *b)
{
	const struct replay_space *const *x = a, *const *y = b;

	if ((*x)->quire_says.peak_rss_bytes == (*y)->quire_says.peak_rss_bytes)
		return 0;
	return (*x)->quire_says.peak_rss_bytes < (*y)->quire_says.peak_rss_bytes ? 1 : -1;
}

#define LARGEST 10

/* The largest address spaces, one line each. */
static void print_spaces(FILE *out, const struct replay_result *r)
{
	const struct replay_space **order = calloc(r->nr_spaces ? r->nr_spaces : 1, sizeof(*order));
	size_t nr = 0;

	if (!order)
		return;
	for (uint64_t i = 0; i < r->nr_spaces; i++)
		if (r->spaces[i].compared)
			order[nr++] = &r->spaces[i];
	qsort(order, nr, sizeof(*order), by_peak);
	if (nr > 0)
		fprintf(out, "\n  %-22s %8s %8s %10s %10s %6s %6s %5s\n", "largest address spaces",
			"faults", "Quire", "peak RSS", "Quire", "VMAs", "Quire", "maps");
	for (size_t i = 0; i < nr && i < LARGEST; i++) {
		const struct replay_space *s = order[i];
		const char *slash = strrchr(s->name, '/');
		char name[CELL], a[CELL], b[CELL];

		snprintf(name, sizeof(name), "%.14s %" PRIu32, slash ? slash + 1 : s->name, s->pid);
		fprintf(out, "  %-22s %8" PRIu64 " %8" PRIu64 " %10s %10s %6" PRIu64 " %6" PRIu64
			" %5s\n", name, s->linux_said.faults, s->quire_says.faults,
			format_bytes(s->linux_said.peak_rss_bytes, a, CELL),
			format_bytes(s->quire_says.peak_rss_bytes, b, CELL), s->linux_said.vmas,
			s->quire_says.vmas, s->nr_map_differences ? "differ" : "equal");
	}
	free(order);
}

void replay_print(FILE *out, const struct replay_result *r)
{
	double seconds = (double)r->replay_ns / 1e9;
	char a[CELL], b[CELL], c[CELL], cause[320];
	const char *sentence;

	fprintf(out, "\n%.76s\n", r->command);
	fprintf(out, "  recorded on Linux %s in %.2f s; touches: %s\n", r->kernel,
		(double)r->duration_us / 1e6, r->source);
	fprintf(out, "  replayed %s events (%s calls, %s touches)", format_count(r->nr_events, a, CELL),
		format_count(r->nr_calls, b, CELL), format_count(r->nr_touches, c, CELL));
	fprintf(out, " in %.2f s: %s events/s\n", seconds,
		format_count(seconds > 0 ? (uint64_t)((double)r->nr_events / seconds) : 0, a, CELL));
	print_comparison(out, r);
	print_spaces(out, r);
	if (r->nr_touches_refused)
		fprintf(out, "\n  %" PRIu64 " touches got a signal that they did not get on Linux\n",
			r->nr_touches_refused);
	fprintf(out, "\n  what a gap can come from:\n");
	for (size_t i = 0; (sentence = replay_cause(r, i, cause, sizeof(cause))) != NULL; i++)
		fprintf(out, "  - %s\n", sentence);
	for (size_t i = 0; i < r->nr_mismatches && i < 5; i++)
		fprintf(out, "  ! %s\n", r->mismatches[i]);
	if (r->nr_mismatches > 5)
		fprintf(out, "  ! and %zu more (see --json)\n", r->nr_mismatches - 5);
	if (r->leaks.nr_frames || r->leaks.nr_objects)
		fprintf(out, "  LEAKED: %" PRIu64 " frames, %" PRIu64 " objects\n", r->leaks.nr_frames,
			r->leaks.nr_objects);
}
