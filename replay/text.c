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

static uint64_t rss_slack_bytes(const struct replay_result *r)
{
	return r->nr_spaces_compared * replay_rss_slack_bytes(r->nr_cpus);
}

static bool rss_gap_is_slack(const struct replay_result *r)
{
	uint64_t ours = r->quire_says.peak_rss_bytes, theirs = r->linux_said.peak_rss_bytes;
	uint64_t gap = ours > theirs ? ours - theirs : theirs - ours;

	return gap != 0 && gap <= rss_slack_bytes(r);
}

static int cause_lost(const struct replay_result *r, char *buf, size_t size)
{
	return r->nr_lost ? snprintf(buf, size,
		"%" PRIu64 " touches were lost while recording (buffer overflow): faults and "
		"resident pages are short by up to that many.", r->nr_lost) : 0;
}

static int cause_lost_calls(const struct replay_result *r, char *buf, size_t size)
{
	return r->nr_lost_calls ? snprintf(buf, size,
		"%" PRIu64 " records of calls were lost while recording (buffer overflow): mappings "
		"differ from there on.", r->nr_lost_calls) : 0;
}

static int cause_left_out(const struct replay_result *r, char *buf, size_t size)
{
	return r->nr_spaces_compared < r->nr_spaces ? snprintf(buf, size,
		"%" PRIu64 " of %" PRIu64 " address spaces are left out on both sides: they "
		"ended before Linux could be asked, or began before the recording.",
		r->nr_spaces - r->nr_spaces_compared, r->nr_spaces) : 0;
}

static int cause_source(const struct replay_result *r, char *buf, size_t size)
{
	return strcmp(r->source, "tracepoint-exact") != 0 ? snprintf(buf, size,
		"The source of touches was %s: whether a touch wrote is inferred, and the "
		"kernel's own touches may be missing.", r->source) : 0;
}

static int cause_folios(const struct replay_result *r, char *buf, size_t size)
{
	return r->folios_chosen ? snprintf(buf, size,
		"Which folios there are was chosen, and is not the recorded Linux's "
		"setting: with larger ones fewer faults, more resident pages.") : 0;
}

static int cause_notes(const struct replay_result *r, char *buf, size_t size)
{
	size_t len;

	if (!r->nr_notes)
		return 0;
	len = (size_t)snprintf(buf, size, "Calls that are not modelled:");
	for (size_t i = 0; i < r->nr_notes && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s %s (%" PRIu64 ")", i ? "," : "",
					r->notes[i].call, r->notes[i].count);
	if (len < size)
		snprintf(buf + len, size - len, ".");
	return 1;
}

static int cause_idle(const struct replay_result *r, char *buf, size_t size)
{
	return r->nr_idle ? snprintf(buf, size,
		"%" PRIu64 " recorded touches took no fault here: their page was there already.",
		r->nr_idle) : 0;
}

static int cause_beside(const struct replay_result *r, char *buf, size_t size)
{
	return r->nr_beside ? snprintf(buf, size,
		"%" PRIu64 " times pages of a file were there on Linux beside a touch, and had to be "
		"mapped by a fault here, which is not counted: its page cache has larger folios.",
		r->nr_beside) : 0;
}

static int cause_sizes(const struct replay_result *r, char *buf, size_t size)
{
	return r->nr_sizes_inferred ? snprintf(buf, size,
		"Files grew unseen %" PRIu64 " times: Linux granted touches beyond what was known "
		"as their end.", r->nr_sizes_inferred) : 0;
}

static int cause_slack(const struct replay_result *r, char *buf, size_t size)
{
	char a[CELL];

	return rss_gap_is_slack(r) ? snprintf(buf, size,
		"Linux batches its resident-set counters per CPU: with so many address spaces and "
		"CPUs the sum of peaks may be off by up to %s.",
		format_bytes(rss_slack_bytes(r), a, CELL)) : 0;
}

static int cause_newer(const struct replay_result *r, char *buf, size_t size)
{
	return r->nr_skipped_events || r->nr_unknown ? snprintf(buf, size,
		"A newer recorder made this: %" PRIu64 " events and %" PRIu64 " names of its header "
		"are not known here.", r->nr_skipped_events, r->nr_unknown) : 0;
}

const char *replay_cause(const struct replay_result *result, size_t i, char *buf,
			 size_t buf_bytes)
{
	/* Each prints its sentence, or nothing where the recording does not prove it. */
	static int (*const causes[])(const struct replay_result *, char *, size_t) = {
		cause_lost, cause_lost_calls, cause_left_out, cause_source, cause_folios, cause_notes,
		cause_idle, cause_beside,
		cause_sizes, cause_slack, cause_newer,
	};

	for (size_t c = 0, n = 0; c < sizeof(causes) / sizeof(causes[0]); c++)
		if (causes[c](result, buf, buf_bytes) > 0 && n++ == i)
			return buf;
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

/* A sentence on lines of 79 columns; the first begins with `mark`. */
static void print_wrapped(FILE *out, const char *mark, const char *text)
{
	const size_t width = 79 - strlen(mark);

	while (*text) {
		size_t len = strlen(text), cut = len;

		for (cut = len > width ? width : len; cut < len && cut > 0 && text[cut] != ' ';)
			cut--;
		if (cut == 0)
			cut = len;
		fprintf(out, "%s%.*s\n", mark, (int)cut, text);
		text += cut + (text[cut] == ' ');
		mark = "    ";
	}
}

const char *replay_cause_words(const char *kind)
{
	static const char *const words[][2] = {
		{ "exec", "by exec itself" },
		{ "calls", "in calls (populate, mlock)" },
		{ "kernel", "by the kernel, unasked" },
		{ "kernel-unplaced", "by the kernel, unplaced" },
		{ "signals", "ended in a signal" },
		{ "kernel-refused", "refused to the kernel" },
		{ "source", "not seen by the source" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i][0], kind) == 0)
			return words[i][1];
	return kind;
}

/* Where the faults that Linux counted come from. */
static void print_account(FILE *out, const struct replay_result *r)
{
	const struct replay_account *a = &r->account;
	char text[CELL];

	if (r->nr_spaces_compared == 0)
		return;
	fprintf(out, "\n  %-28s %13s\n", "faults that Linux counted",
		format_count(a->linux_faults, text, CELL));
	fprintf(out, "    %-26s %13s\n", "touches recorded", format_count(a->touches, text, CELL));
	for (size_t i = 0; i < a->nr_explained; i++) {
		const struct replay_cause *cause = &a->explained[i];

		format_count((uint64_t)(cause->count < 0 ? -cause->count : cause->count), text, CELL);
		fprintf(out, "    %-26.44s %*s%s\n", replay_cause_words(cause->kind),
			(int)(13 - strlen(text)), cause->count < 0 ? "-" : "", text);
	}
	fprintf(out, "    %-26s %13s", "unexplained",
		format_count((uint64_t)a->unexplained, text, CELL));
	if (a->unexplained != 0 && a->linux_faults != 0)
		fprintf(out, "  (%.2f %%)", 100.0 * (double)a->unexplained / (double)a->linux_faults);
	fputc('\n', out);
}

static const char *size_of_gap(enum replay_figure which, uint64_t size, char *buf)
{
	return which == REPLAY_RSS || which == REPLAY_TABLES ? format_bytes(size, buf, CELL) :
							       format_count(size, buf, CELL);
}

/* Address spaces of which a figure is more than 1 % off, and why. */
static void print_gaps(FILE *out, const struct replay_result *r)
{
	static const char *const names[REPLAY_NR_FIGURES] = {
		"faults", "peak RSS", "page tables", "VMAs",
	};
	bool any = false;

	for (unsigned i = 0; i < REPLAY_NR_FIGURES; i++) {
		const struct replay_gap *gap = &r->gaps[i];
		char text[CELL];

		if (!gap->explained && !gap->unexplained)
			continue;
		if (!any)
			fprintf(out, "\n  where an address space is more than 1 %% off, in all\n");
		any = true;
		if (gap->explained)
			fprintf(out, "    %-12s %12s  %s\n", names[i],
				size_of_gap(i, gap->explained, text), gap->causes);
		if (gap->unexplained)
			fprintf(out, "    %-12s %12s  unexplained\n", names[i],
				size_of_gap(i, gap->unexplained, text));
	}
}

static void print_signals(FILE *out, const struct replay_result *r)
{
	char a[CELL], b[CELL];

	if (r->nr_signals_alike || r->nr_signals_missed)
		fprintf(out, "\n  signals for accesses alike: %s of %s\n",
			format_count(r->nr_signals_alike, a, CELL),
			format_count(r->nr_signals_alike + r->nr_signals_missed, b, CELL));
	if (r->nr_touches_refused)
		fprintf(out, "\n  %s touches are refused here%s\n",
			format_count(r->nr_touches_refused, a, CELL),
			r->signals_known ? " and were granted by Linux" :
			"; what Linux did is not in this recording");
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
	print_account(out, r);
	print_gaps(out, r);
	print_signals(out, r);
	if (replay_cause(r, 0, cause, sizeof(cause)))
		fprintf(out, "\n  what a gap can come from:\n");
	for (size_t i = 0; (sentence = replay_cause(r, i, cause, sizeof(cause))) != NULL; i++)
		print_wrapped(out, "  - ", sentence);
	for (size_t i = 0; i < r->nr_mismatches && i < 5; i++)
		print_wrapped(out, "  ! ", r->mismatches[i]);
	if (r->nr_mismatches > 5)
		fprintf(out, "  ! and %zu more (see --json)\n", r->nr_mismatches - 5);
	if (r->leaks.nr_frames || r->leaks.nr_objects)
		fprintf(out, "  LEAKED: %" PRIu64 " frames, %" PRIu64 " objects\n", r->leaks.nr_frames,
			r->leaks.nr_objects);
}
