/* SPDX-License-Identifier: BSD-2-Clause */
/* A replay's result as JSON. */
#include <stdlib.h>

#include "output.h"

static json_t *number(uint64_t value)
{
	return value == UINT64_MAX ? json_null() : json_integer((json_int_t)value);
}

static json_t *figures_json(const struct replay_figures *f)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "faults", number(f->faults), "cow_copies",
			 number(f->cow_copies), "peak_rss_bytes", number(f->peak_rss_bytes),
			 "peak_page_table_bytes", number(f->peak_page_table_bytes), "vmas",
			 number(f->vmas));
}

static json_t *account_json(const struct replay_account *a)
{
	json_t *list = json_array();

	for (size_t i = 0; i < a->nr_explained; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "kind",
			a->explained[i].kind, "words", replay_cause_words(a->explained[i].kind),
			"count", (json_int_t)a->explained[i].count));
	return json_pack("{s:o, s:o, s:o, s:I}", "linux_faults", number(a->linux_faults), "touches",
			 number(a->touches), "explained", list, "unexplained",
			 (json_int_t)a->unexplained);
}

static void add_trait(void *context, const char *name, const char *text)
{
	json_object_set_new(context, name, json_string(text));
}

static json_t *host_json(const struct host *host)
{
	json_t *out = json_object();

	host_for_each(host, add_trait, out);
	return out;
}

static json_t *gaps_json(const struct replay_result *r)
{
	static const char *const names[REPLAY_NR_FIGURES] = {
		"faults", "peak_rss_bytes", "peak_page_table_bytes", "vmas",
	};
	json_t *out = json_object();

	for (unsigned i = 0; i < REPLAY_NR_FIGURES; i++)
		json_object_set_new(out, names[i], json_pack("{s:o, s:s, s:o}", "explained",
			number(r->gaps[i].explained), "causes",
			r->gaps[i].causes ? r->gaps[i].causes : "", "unexplained",
			number(r->gaps[i].unexplained)));
	return out;
}

static json_t *notes_json(const struct replay_result *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->nr_notes; i++)
		json_array_append_new(list, json_pack("{s:s, s:o}", "call", r->notes[i].call,
			"count", number(r->notes[i].count)));
	return list;
}

static json_t *space_json(const struct replay_space *s)
{
	json_t *out = json_pack("{s:s?, s:o, s:b, s:o, s:o}", "name", s->name, "pid",
				number(s->pid), "compared", s->compared, "start_us",
				number(s->start_us), "end_us", number(s->end_us));

	if (out && s->compared) {
		json_object_set_new(out, "linux", figures_json(&s->linux_said));
		json_object_set_new(out, "quire", figures_json(&s->quire_says));
		json_object_set_new(out, "account", account_json(&s->account));
		json_object_set_new(out, "map_differences", number(s->nr_map_differences));
		if (s->map_differences)
			json_object_set_new(out, "maps", json_string(s->map_differences));
	}
	return out;
}

static json_t *sample_json(const struct replay_sample *s)
{
	return json_pack("[o, o, o, o, o, o, o, o, o]", number(s->time_us),
			 number(s->rss_anon_bytes), number(s->rss_file_bytes),
			 number(s->rss_shmem_bytes), number(s->page_table_bytes), number(s->vmas),
			 number(s->address_spaces), number(s->faults), number(s->cow_copies));
}

json_t *replay_json(const struct replay_result *r)
{
	json_t *out = json_pack(
		"{s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:f, s:o, s:o, s:o, s:o}", "command",
		r->command, "kernel", r->kernel, "source", r->source, "complete", r->complete,
		"linux", figures_json(&r->linux_said), "quire", figures_json(&r->quire_says),
		"events", number(r->nr_events), "calls", number(r->nr_calls), "touches",
		number(r->nr_touches), "replay_seconds", (double)r->replay_ns / 1e9,
		"peak_process_bytes", number(r->peak_process_bytes), "lost", number(r->nr_lost),
		"lost_calls", number(r->nr_lost_calls), "duration_us", number(r->duration_us));
	json_t *list;

	if (!out)
		return NULL;
	json_object_set_new(out, "agreement", json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "spaces",
		number(r->nr_spaces),
		"spaces_compared", number(r->nr_spaces_compared), "spaces_maps_equal",
		number(r->nr_spaces_maps_equal), "placed", number(r->nr_placed), "placed_alike",
		number(r->nr_placed_alike), "results_alike", number(r->nr_results_alike),
		"results_different", number(r->nr_results_different), "touches_refused",
		number(r->nr_touches_refused), "signals_alike", number(r->nr_signals_alike),
		"signals_missed", number(r->nr_signals_missed), "sizes_inferred",
		number(r->nr_sizes_inferred), "touches_idle", number(r->nr_idle),
		"mapped_beside", number(r->nr_beside),
		"refused_unasked", number(r->nr_refused_unasked)));
	json_object_set_new(out, "host", host_json(&r->host));
	json_object_set_new(out, "account", account_json(&r->account));
	json_object_set_new(out, "gaps", gaps_json(r));
	json_object_set_new(out, "notes", notes_json(r));
	json_object_set_new(out, "leaks", json_pack("{s:o, s:o}", "frames",
		number(r->leaks.nr_frames), "objects", number(r->leaks.nr_objects)));

	list = json_array();
	for (size_t i = 0; i < r->nr_mismatches; i++)
		json_array_append_new(list, json_string(r->mismatches[i]));
	json_object_set_new(out, "mismatches", list);
	list = json_array();
	for (size_t i = 0;; i++) {
		char buf[320];
		const char *cause = replay_cause(r, i, buf, sizeof(buf));

		if (!cause)
			break;
		json_array_append_new(list, json_string(cause));
	}
	json_object_set_new(out, "causes", list);
	list = json_array();
	for (uint64_t i = 0; i < r->nr_spaces; i++)
		json_array_append_new(list, space_json(&r->spaces[i]));
	json_object_set_new(out, "spaces", list);
	json_object_set_new(out, "sample_columns", json_pack("[s, s, s, s, s, s, s, s, s]",
		"time_us", "rss_anon_bytes", "rss_file_bytes", "rss_shmem_bytes",
		"page_table_bytes", "vmas", "address_spaces", "faults", "cow_copies"));
	list = json_array();
	for (size_t i = 0; i < r->nr_samples; i++)
		json_array_append_new(list, sample_json(&r->samples[i]));
	json_object_set_new(out, "samples", list);
	return out;
}
