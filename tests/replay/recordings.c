/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kept recordings of real programs, replayed on the core: faults,
 * page tables within 1 % of what Linux said, so is peak RSS or the gap has
 * a cause, the VMAs and the final maps exact, accounts that add up, and nothing left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay/replay.h"
#include "trace/reader.h"
#include "trace/writer.h"

#define NR_RECORDINGS 7

static void assert_near(const char *what, uint64_t ours, uint64_t theirs)
{
	uint64_t gap = ours > theirs ? ours - theirs : theirs - ours;

	if (gap * 100 > theirs)
		fail_msg("%s: Quire says %llu, Linux said %llu", what, (unsigned long long)ours,
			 (unsigned long long)theirs);
}

static void replay_one(const char *path, const struct replay_options *options,
		       struct replay_result *result)
{
	struct trace_error error = { 0 };

	if (replay_file(path, options, result, &error) != 0)
		fail_msg("%s: %s", path, error.message);
	assert_true(result->complete);
	assert_int_equal(result->leaks.nr_frames, 0);
	assert_int_equal(result->leaks.nr_objects, 0);
	assert_int_equal(result->leaks.nr_address_spaces, 0);
	assert_int_equal(result->leaks.nr_committed_pages, 0);
}

/* Every fault that Linux counted is a touch, has a cause, or is said to have none;
 * of these there are less than one in a thousand. */
static void assert_account(const struct replay_result *result)
{
	uint64_t unexplained = 0;

	for (uint64_t i = 0; i < result->nr_spaces; i++) {
		const struct replay_account *a = &result->spaces[i].account;
		int64_t sum = (int64_t)a->touches + a->unexplained;

		for (size_t c = 0; c < a->nr_explained; c++)
			sum += a->explained[c].count;
		assert_int_equal(sum, a->linux_faults);
		unexplained += (uint64_t)(a->unexplained < 0 ? -a->unexplained : a->unexplained);
	}
	assert_int_equal(unexplained, result->account.unexplained);
	assert_int_equal(result->account.linux_faults, result->linux_said.faults);
	assert_true(unexplained * 1000 < result->linux_said.faults);
}

static void agrees(const char *path)
{
	struct replay_options options;
	struct replay_result result;

	replay_options_default(&options);
	replay_one(path, &options, &result);
	printf("%s: %llu events\n", path, (unsigned long long)result.nr_events);
	assert_true(result.nr_spaces_compared > 0);
	assert_near("faults", result.quire_says.faults, result.linux_said.faults);
	/* Linux batches its counters: small address spaces may be off by more. */
	assert_true(result.gaps[REPLAY_RSS].unexplained * 100 <= result.linux_said.peak_rss_bytes);
	assert_near("peak page tables", result.quire_says.peak_page_table_bytes,
		    result.linux_said.peak_page_table_bytes);
	assert_int_equal(result.quire_says.vmas, result.linux_said.vmas);
	assert_int_equal(result.nr_spaces_maps_equal, result.nr_spaces_compared);
	assert_int_equal(result.nr_touches_refused, 0);
	assert_int_equal(result.nr_results_different, 0);
	assert_account(&result);
	replay_result_fini(&result);
}

/* Every alternative of every decision gives the same answers, none leaks. */
static void agrees_whatever_is_decided(const char *path)
{
	struct replay_options options;
	struct replay_result base, other;

	replay_options_default(&options);
	replay_one(path, &options, &base);
	for (unsigned alt = 0; alt < QUIRE_NR_ALTERNATIVES; alt++) {
		const struct quire_alternative_info *info =
			quire_alternative_info((enum quire_alternative)alt);

		replay_options_default(&options);
		options.config.decisions.chosen[info->row] = (uint8_t)alt;
		replay_one(path, &options, &other);
		assert_int_equal(other.quire_says.vmas, base.quire_says.vmas);
		assert_int_equal(other.quire_says.faults, base.quire_says.faults);
		assert_int_equal(other.quire_says.peak_page_table_bytes,
				 base.quire_says.peak_page_table_bytes);
		replay_result_fini(&other);
	}
	replay_result_fini(&base);
}

static void for_each_recording(void (*check)(const char *path))
{
	DIR *dir = opendir(RECORDINGS);
	struct dirent *entry;
	int nr = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char path[4096];

		if (!strstr(entry->d_name, ".quire"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", RECORDINGS, entry->d_name);
		check(path);
		nr++;
	}
	closedir(dir);
	assert_int_equal(nr, NR_RECORDINGS);
}

static void test_agrees_with_linux(void **state)
{
	(void)state;
	for_each_recording(agrees);
}

/* Made by the first recorder: no signals, no rights, fewer traits. */
static void test_version_1(void **state)
{
	(void)state;
	agrees(RECORDINGS "/version-1/daemon.quire");
	agrees(RECORDINGS "/version-1/pipeline.quire");
}

static void test_decisions(void **state)
{
	(void)state;
	agrees_whatever_is_decided(RECORDINGS "/pipeline.quire");
}

/* ---- with large folios ------------------------------------------------------------ */

/* As large folios need not fit what Linux had, only what must be is asserted:
 * every touch got its page, nothing leaked, and every invariant held meanwhile. */
static void holds_with(const char *path, struct replay_options *options)
{
	struct replay_result result;

	options->config.memory_bytes = UINT64_C(2) << 30; /* the checks read all descriptors */
	options->check_events = 10000;
	replay_one(path, options, &result);
	assert_int_equal(result.nr_touches_refused, 0);
	assert_int_equal(result.nr_results_different, 0);
	assert_true(result.nr_spaces_compared > 0);
	assert_int_equal(result.nr_spaces_maps_equal, result.nr_spaces_compared);
	replay_result_fini(&result);
}

static void allow_order(struct replay_options *options, unsigned order)
{
	options->folios_chosen = true;
	options->config.anon_folios[order] = QUIRE_FOLIOS_ALWAYS;
	options->config.file_order = order;
}

static void holds_with_each_order(const char *path)
{
	struct replay_options options;

	for (unsigned order = 2; order <= QUIRE_PMD_ORDER; order++) {
		replay_options_default(&options);
		allow_order(&options, order);
		holds_with(path, &options);
	}
}

static void holds_with_each_rival(const char *path)
{
	const struct quire_decision_info *row = quire_decision_info(QUIRE_DECISION_sharing);
	struct replay_options options;

	for (unsigned alt = row->first; alt <= row->last; alt++) {
		replay_options_default(&options);
		for (unsigned order = 2; order <= QUIRE_PMD_ORDER; order++)
			allow_order(&options, order);
		options.config.decisions.chosen[QUIRE_DECISION_sharing] = (uint8_t)alt;
		holds_with(path, &options);
	}
}

/* A program with huge pages, under every alternative of every decision. */
static void test_decisions_with_huge_pages(void **state)
{
	struct replay_options options;

	(void)state;
	for (unsigned alt = 0; alt < QUIRE_NR_ALTERNATIVES; alt++) {
		replay_options_default(&options);
		options.config.decisions.chosen[quire_alternative_info(
			(enum quire_alternative)alt)->row] = (uint8_t)alt;
		holds_with(RECORDINGS "/huge.quire", &options);
	}
}

/* The recording, as if its machine had had this trait. */
static void copy_with_trait(const char *path, const char *name, const char *text,
			    const char *copy)
{
	struct trace_error error = { 0 };
	struct trace_reader *reader = trace_reader_open(path, &error);
	struct trace_header header = *trace_reader_header(reader);
	const struct trace_event *event;
	struct trace_writer *writer;

	assert_true(host_set(&header.host, name, text));
	writer = trace_writer_open(copy, &header, &error);
	assert_non_null(writer);
	while (trace_reader_next(reader, &event, &error) > 0)
		assert_int_equal(trace_writer_put(writer, event, &error), 0);
	assert_int_equal(trace_writer_close(writer, &error), 0);
	trace_reader_close(reader);
}

static struct replay_figures figures_with_thp(const char *path, const char *thp, bool chosen)
{
	char copy[] = "/tmp/quire-test-XXXXXX";
	struct replay_figures figures;
	struct replay_options options;
	struct replay_result result;
	int fd = mkstemp(copy);

	assert_true(fd >= 0);
	close(fd);
	copy_with_trait(path, "thp", thp, copy);
	replay_options_default(&options);
	options.folios_chosen = chosen;
	replay_one(copy, &options, &result);
	figures = result.quire_says;
	replay_result_fini(&result);
	unlink(copy);
	return figures;
}

/* ---- the recorded host ------------------------------------------------------------ */

#define READ_FIRST_PAGES 8u

/* A program that reads some pages of anonymous memory, then writes them. */
static void write_read_first(const char *path, uint64_t zero_page)
{
	const uint64_t base = UINT64_C(0x7f0000000000);
	struct trace_header header = { .source = TRACE_SOURCE_TRACEPOINT };
	struct trace_event events[] = {
		{ .kind = TRACE_PROCESS_START, .process_start = { .how = TRACE_HOW_COMMAND,
			.parent = TRACE_NONE } },
		{ .kind = TRACE_EXEC, .exec = { .mm = 1, .maps_known = true,
			.rights = { .as_bytes = TRACE_UNKNOWN, .data_bytes = TRACE_UNKNOWN,
				.stack_bytes = TRACE_UNKNOWN, .memlock_bytes = TRACE_UNKNOWN } } },
		{ .kind = TRACE_CALL, .call = { .nr = TRACE_MMAP, .addr = base,
			.len = READ_FIRST_PAGES * QUIRE_PAGE_SIZE, .prot = 3,
			.flags = QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
			.result = (int64_t)base, .file = TRACE_NONE, .target = TRACE_NONE } },
	};
	struct trace_event end = { .kind = TRACE_MM_END, .mm_end = { .mm = 1, .complete = true } };
	struct trace_event last = { .kind = TRACE_PROCESS_EXIT };
	struct trace_error error = { 0 };
	struct trace_writer *writer;

	host_init(&header.host);
	header.host.trait[HOST_page_bytes] = QUIRE_PAGE_SIZE;
	header.host.trait[HOST_zero_page] = zero_page;
	writer = trace_writer_open(path, &header, &error);
	assert_non_null(writer);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		assert_int_equal(trace_writer_put(writer, &events[i], &error), 0);
	for (unsigned write = 0; write < 2; write++)
		for (uint64_t i = 0; i < READ_FIRST_PAGES; i++) {
			struct trace_event touch = { .kind = TRACE_TOUCH, .touch = {
				.addr = base + i * QUIRE_PAGE_SIZE,
				.flags = write ? TRACE_TOUCH_WRITE : 0u } };

			assert_int_equal(trace_writer_put(writer, &touch, &error), 0);
		}
	assert_int_equal(trace_writer_put(writer, &end, &error), 0);
	assert_int_equal(trace_writer_put(writer, &last, &error), 0);
	assert_int_equal(trace_writer_close(writer, &error), 0);
}

static void test_a_host_without_zero_page(void **state)
{
	char path[] = "/tmp/quire-test-XXXXXX";
	struct replay_options options;
	struct replay_result result;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	for (uint64_t zero_page = 0; zero_page < 2; zero_page++) {
		write_read_first(path, zero_page);
		replay_options_default(&options);
		replay_one(path, &options, &result);
		/* With a page of zeros the writes fault too. */
		assert_int_equal(result.quire_says.faults, (1 + zero_page) * READ_FIRST_PAGES);
		assert_int_equal(result.nr_idle, zero_page ? 0 : READ_FIRST_PAGES);
		assert_int_equal(result.quire_says.peak_rss_bytes,
				 READ_FIRST_PAGES * QUIRE_PAGE_SIZE);
		replay_result_fini(&result);
	}
	unlink(path);
}

/* Folios are as the recorded machine had them, unless others are chosen. */
static void test_the_recorded_setting(void **state)
{
	const char *asks = RECORDINGS "/huge.quire", *does_not = RECORDINGS "/daemon.quire";
	struct replay_figures never = figures_with_thp(asks, "never", false);
	struct replay_figures madvise = figures_with_thp(asks, "madvise", false);
	struct replay_figures always = figures_with_thp(does_not, "always", false);
	struct replay_figures small = figures_with_thp(does_not, "never", false);

	(void)state;
	assert_true(2 * never.peak_rss_bytes < madvise.peak_rss_bytes);
	assert_true(2 * always.faults < small.faults);
	never = figures_with_thp(asks, "never", true);
	assert_int_equal(never.peak_rss_bytes, madvise.peak_rss_bytes);
	assert_int_equal(figures_with_thp(does_not, "madvise", false).faults, small.faults);
}

static void test_each_order(void **state)
{
	(void)state;
	for_each_recording(holds_with_each_order);
}

static void test_each_rival(void **state)
{
	(void)state;
	for_each_recording(holds_with_each_rival);
}

/* Too little memory: an error that says so, and nothing left behind. */
static void test_small_memory(void **state)
{
	struct trace_error error = { 0 };
	struct replay_options options;
	struct replay_result result;

	(void)state;
	replay_options_default(&options);
	options.config.memory_bytes = UINT64_C(4) << 20;
	assert_true(replay_file(RECORDINGS "/build.quire", &options, &result, &error) < 0);
	assert_true(strlen(error.message) > 0);
	assert_false(result.complete);
	assert_int_equal(result.leaks.nr_frames, 0);
	assert_int_equal(result.leaks.nr_objects, 0);
	replay_result_fini(&result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agrees_with_linux),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_decisions_with_huge_pages),
		cmocka_unit_test(test_the_recorded_setting),
		cmocka_unit_test(test_a_host_without_zero_page),
		cmocka_unit_test(test_each_order),
		cmocka_unit_test(test_each_rival),
		cmocka_unit_test(test_small_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
