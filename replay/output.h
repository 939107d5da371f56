/* SPDX-License-Identifier: BSD-2-Clause */
/* The three faces of a replay's result: text, JSON, one HTML file. */
#ifndef REPLAY_OUTPUT_H
#define REPLAY_OUTPUT_H

#include <stdio.h>

#include <jansson.h>

#include "replay.h"

/* The tables a person reads in a terminal. */
void replay_print(FILE *out, const struct replay_result *result);
/* NULL: no memory.  The keys are documented in docs/recording.md. */
json_t *replay_json(const struct replay_result *result);
/* 0 or negative errno. */
int replay_write_report(const char *path, const struct replay_result *result,
			struct trace_error *error);

/* "412.3 MiB" into buf; "-" for UINT64_MAX. */
const char *format_bytes(uint64_t bytes, char *buf, size_t buf_bytes);
/* "1,234,567"; "-" for UINT64_MAX. */
const char *format_count(uint64_t count, char *buf, size_t buf_bytes);
/* "+1.2 %" of ours against theirs; "exact"; "-" when unknown. */
const char *format_gap(uint64_t ours, uint64_t theirs, char *buf, size_t buf_bytes);
/* What a cause of the account (replay_cause.kind) is called; a call is its own name. */
const char *replay_cause_words(const char *kind);
/*
 * Why a gap may be there, as sentences; the i-th or NULL.  They are
 * derived from what the recording and the replay counted.
 */
const char *replay_cause(const struct replay_result *result, size_t i, char *buf,
			 size_t buf_bytes);

#endif
