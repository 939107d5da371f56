/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes recordings: by running a command, or from the log of another tool. */
#ifndef QUIRE_TRACE_RECORD_H
#define QUIRE_TRACE_RECORD_H

#include <sys/types.h>

#include "error.h"
#include "event.h"

struct record_options {
	const char *output; /* the file to write */
	/* The best source to try; what is not permitted falls back to the next
	 * one down in enum trace_source.  NONE means the best there is. */
	enum trace_source best_source;
	/* How calls are seen, at best.  UNKNOWN means the best there is. */
	enum trace_calls best_calls;
	/* Perf events follow each task, also where a control group would do. */
	bool no_cgroup;
	/* Said at once, while the command runs: what goes wrong, what is unlike a
	 * run without the recorder.  May be NULL; is called by any thread. */
	void (*tell)(void *context, const char *sentence);
	void *context;
};

struct record_result {
	enum trace_source source;
	enum trace_calls calls;
	uint64_t events, touches, lost, lost_calls, bytes;
	uint32_t processes;
	int wait_status; /* of the command */
};

/*
 * Runs argv (NULL-terminated) and everything it starts until the last process
 * of the tree has ended, and writes what they did to options->output.  The
 * command keeps our standard streams.
 *
 * Returns what a shell would: the command's exit status, 128 + the signal
 * that killed it, 127 or 126 where it could not be run; 125 where recording
 * itself failed.  Except in the first two cases error says why.  Of a recording
 * that failed under way what is good is left, and error says where; the command
 * has run to its end all the same.  result may be NULL.
 */
int record_command(const struct record_options *options, char **argv,
	struct record_result *result, struct trace_error *error);

/*
 * Attaches to a running process, all its threads and what they start from then on,
 * and records until it has ended or a signal (SIGINT, SIGQUIT, SIGTERM, SIGHUP) tells
 * the caller to stop; then whoever lives runs on as if nothing had been.  The
 * file is written in both cases.  Returns 0, or 125 where error says why.
 */
int record_process(const struct record_options *options, pid_t pid,
	struct record_result *result, struct trace_error *error);

/* Turns the log of strace -f into a recording without touches. */
int import_strace(const char *log_path, const char *output, struct trace_error *error);

/* The same of what perf script prints; with the page faults that are in it. */
int import_perf(const char *log_path, const char *output, struct trace_error *error);

#endif
