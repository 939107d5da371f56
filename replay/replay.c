/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop over the events, samples over time, and the sums at the end. */
#include "replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "state.h"

#define PROGRESS_EVENTS 8192

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void replay_options_default(struct replay_options *options)
{
	*options = (struct replay_options){ 0 };
	quire_config_default(&options->config);
	/* Reserved, not used: only what is touched costs memory. */
	options->config.memory_bytes = UINT64_C(8) << 30;
	options->config.nr_cpus = 2;
	options->config.overcommit = QUIRE_OVERCOMMIT_ALWAYS;
	/* What Linux does, with which the replay is compared. */
	options->config.decisions.chosen[QUIRE_DECISION_reuse_scope] =
		QUIRE_reuse_scope_page;
}

void replay_mismatch(struct replay *replay, const struct trace_event *event,
		     const char *format, ...)
{
	struct replay_result *result = replay->result;
	char text[400], line[512];
	va_list args;

	if (result->nr_mismatches == REPLAY_MAX_MISMATCHES)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(line, sizeof(line), "event %" PRIu64 ", process %" PRIu32 ": %s",
		 result->nr_events, event->process, text);
	result->mismatches[result->nr_mismatches] = strdup(line);
	if (result->mismatches[result->nr_mismatches])
		result->nr_mismatches++;
}

/* ---- samples ------------------------------------------------------------- */

static void sample_take(struct replay *replay, uint64_t time_us)
{
	struct replay_sample s = { .time_us = time_us,
				   .faults = replay->ended_faults,
				   .cow_copies = replay->ended_copies };

	for (uint32_t i = 0; i < replay->nr_spaces; i++) {
		struct quire_mm_stats stats;

		if (!replay->spaces[i].mm)
			continue;
		quire_mm_stats(replay->spaces[i].mm, &stats);
		s.address_spaces++;
		s.rss_anon_bytes += stats.rss_anon_pages * QUIRE_PAGE_SIZE;
		s.rss_file_bytes += stats.rss_file_pages * QUIRE_PAGE_SIZE;
		s.rss_shmem_bytes += stats.rss_shmem_pages * QUIRE_PAGE_SIZE;
		s.page_table_bytes += stats.page_table_bytes;
		s.vmas += stats.nr_vmas;
		s.faults += stats.faults + stats.major_faults;
		s.cow_copies += stats.cow_copies;
	}
	replay->result->samples[replay->result->nr_samples++] = s;
}

/* When the array is full, every second sample goes and the interval doubles. */
static void sample_maybe(struct replay *replay, uint64_t time_us)
{
	struct replay_result *result = replay->result;

	if (--replay->until_sample > 0)
		return;
	if (result->nr_samples == REPLAY_MAX_SAMPLES) {
		for (size_t i = 0; i < REPLAY_MAX_SAMPLES / 2; i++)
			result->samples[i] = result->samples[2 * i];
		result->nr_samples = REPLAY_MAX_SAMPLES / 2;
		replay->sample_interval *= 2;
	}
	replay->until_sample = replay->sample_interval;
	sample_take(replay, time_us);
}

/* ---- events ---------------------------------------------------------------- */

static int replay_event(struct replay *replay, const struct trace_event *event)
{
	if (event->kind != TRACE_SIGNAL)
		replay_thread_heard(replay, event);
	if (event->thread != TRACE_NONE && event->thread == replay->reach.thread)
		replay->reach = (struct reach){ TRACE_NONE, TRACE_NONE, TRACE_NONE };
	switch (event->kind) {
	case TRACE_FILE:
		return replay_add_file(replay, &event->file);
	case TRACE_PROCESS_START:
		return replay_start_process(replay, event);
	case TRACE_EXEC:
		return replay_exec(replay, event);
	case TRACE_CALL:
		return replay_call(replay, event);
	case TRACE_TOUCH:
		return replay_touch(replay, event);
	case TRACE_MM_END:
		return replay_end_space(replay, event);
	case TRACE_PROCESS_EXIT:
		replay_end_process(replay, event);
		return 0;
	case TRACE_LOST:
		replay->result->nr_lost += event->lost.nr;
		replay->result->nr_lost_calls += event->lost.nr_calls;
		return 0;
	case TRACE_LIMITS:
		replay_limits(replay, event);
		return 0;
	case TRACE_SIGNAL:
		replay_signal(replay, event);
		return 0;
	case TRACE_CAME:
		return replay_came(replay, event);
	case TRACE_HOST:
		replay_host_changed(replay, event);
		return 0;
	case TRACE_THREAD_START:
		replay_thread_started(replay, event);
		return 0;
	case TRACE_THREAD_EXIT:
	case TRACE_NOTE:
	case TRACE_NR_KINDS:
		return 0;
	}
	return 0;
}

static int replay_loop(struct replay *replay, struct trace_reader *reader,
		       struct trace_error *error)
{
	const struct replay_options *options = replay->options;
	struct replay_result *result = replay->result;
	const struct trace_event *event;
	int got;

	while ((got = trace_reader_next(reader, &event, error)) > 0) {
		int err = replay_event(replay, event);

		if (err)
			return trace_fail(error, -err, 0,
					  "replay stopped at event %" PRIu64 ": %s",
					  result->nr_events, strerror(-err));
		result->nr_events++;
		result->duration_us = event->time_us;
		sample_maybe(replay, event->time_us);
		if (options->check_events && result->nr_events % options->check_events == 0)
			quire_check(replay->q);
		if (options->progress && result->nr_events % PROGRESS_EVENTS == 0)
			options->progress(options->context, result->nr_events, event->time_us);
	}
	result->nr_skipped_events = trace_reader_nr_skipped(reader);
	result->complete = got == 0;
	return got;
}

/* ---- the whole --------------------------------------------------------------- */

static void replay_release(struct replay *replay)
{
	for (uint32_t i = 0; i < replay->nr_spaces; i++) {
		if (replay->spaces[i].mm)
			quire_mm_put(replay->spaces[i].mm);
		free(replay->spaces[i].name);
		for (size_t n = 0; n < replay->spaces[i].account.nr_notes; n++)
			free(replay->spaces[i].account.notes[n].call);
		free(replay->spaces[i].account.notes);
	}
	for (uint32_t i = 0; i < replay->nr_files; i++)
		replay_close_file(&replay->files[i]);
	free(replay->later);
	free(replay->spaces);
	free(replay->files);
	free(replay->processes);
	free(replay->threads);
}

static int result_init(struct replay_result *result, const struct trace_header *header)
{
	*result = (struct replay_result){ 0 };
	result->command = strdup(header->command);
	result->kernel = strdup(header->host.kernel);
	result->source = strdup(trace_source_name(header->source));
	result->samples = calloc(REPLAY_MAX_SAMPLES, sizeof(*result->samples));
	if (result->command && result->kernel && result->source && result->samples)
		return 0;
	replay_result_fini(result);
	return -ENOMEM;
}

static int header_acceptable(const char *path, const struct trace_header *header,
			     struct trace_error *error)
{
	if (trace_page_bytes(header) == QUIRE_PAGE_SIZE)
		return 0;
	return trace_fail(error, EINVAL, 0,
			  "%s: recorded with pages of %" PRIu64 " bytes, this build has %" PRIu64,
			  path, trace_page_bytes(header), (uint64_t)QUIRE_PAGE_SIZE);
}

static void result_finish(struct replay *replay)
{
	struct replay_result *result = replay->result;
	struct rusage usage;

	result->folios_chosen = replay->options->folios_chosen;
	result->signals_known = replay->header->version > 1;
	result->nr_unknown += replay->header->nr_unknown;
	quire_cost(replay->q, &result->cost);
	if (replay->options->config.score_sharing)
		quire_sharing_score(replay->q, &result->sharing);
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		result->peak_process_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

int replay_file(const char *path, const struct replay_options *options,
		struct replay_result *result, struct trace_error *error)
{
	struct quire_config config = options->config;
	struct trace_reader *reader = trace_reader_open(path, error);
	struct replay replay = { .options = options, .result = result,
				 .path = path, .sample_interval = 16, .until_sample = 1,
				 .reach = { TRACE_NONE, TRACE_NONE, TRACE_NONE } };
	uint64_t start_ns;
	int err;

	if (!reader)
		return -error->err;
	replay.header = trace_reader_header(reader);
	err = header_acceptable(path, replay.header, error);
	if (err)
		goto out_close;
	err = result_init(result, replay.header);
	if (err) {
		trace_fail(error, -err, 0, "%s: no memory", path);
		goto out_close;
	}
	replay.host = replay.header->host;
	result->host = replay.host;
	result->nr_cpus = (uint32_t)host_or(&replay.host, HOST_cpus, 0);
	replay_mirror_host(&config, &replay.host, options->folios_chosen);
	replay.config = config;
	err = quire_attach();
	if (!err) {
		err = quire_create(&config, &replay.q);
		if (err)
			quire_detach();
	}
	if (err) {
		replay_result_fini(result);
		trace_fail(error, -err, 0, "cannot make an instance of %" PRIu64 " MiB: %s",
			   config.memory_bytes >> 20, strerror(-err));
		goto out_close;
	}
	start_ns = now_ns();
	err = replay_loop(&replay, reader, error);
	result->replay_ns = now_ns() - start_ns;
	if (options->check_events)
		quire_check(replay.q);
	result_finish(&replay);
	replay_release(&replay);
	quire_destroy(replay.q, &result->leaks);
	quire_detach();
out_close:
	trace_reader_close(reader);
	return err;
}

void replay_result_fini(struct replay_result *result)
{
	for (uint64_t i = 0; i < result->nr_spaces; i++) {
		free(result->spaces[i].name);
		free(result->spaces[i].map_differences);
		replay_account_fini(&result->spaces[i].account);
	}
	replay_account_fini(&result->account);
	for (unsigned i = 0; i < REPLAY_NR_FIGURES; i++)
		free(result->gaps[i].causes);
	for (size_t i = 0; i < result->nr_notes; i++)
		free(result->notes[i].call);
	free(result->notes);
	for (size_t i = 0; i < result->nr_mismatches; i++)
		free(result->mismatches[i]);
	free(result->spaces);
	free(result->samples);
	free(result->command);
	free(result->kernel);
	free(result->source);
	*result = (struct replay_result){ 0 };
}
