/* SPDX-License-Identifier: BSD-2-Clause */
/* The perf importer's inner parts: for import_perf.c and its tests. */
#ifndef QUIRE_TRACE_IMPORT_PERF_H
#define QUIRE_TRACE_IMPORT_PERF_H

#include "import.h"

/* ---- perf_line.c: what stands in one line of perf script ---- */

enum perf_kind {
	PERF_NOISE, /* empty, of the header, of a call chain, or known to say nothing */
	PERF_OTHER, /* an event that says nothing of memory */
	PERF_ENTER, /* number, arg */
	PERF_LEAVE, /* number, result */
	PERF_TOUCH, /* addr, flags, faults, mode */
	PERF_FORK, /* pid, tid: the child; parent */
	PERF_EXIT, /* pid, tid: of the one that ended; so in the next two */
	PERF_EXEC, /* name: of the command */
	PERF_MAP, /* addr, len, map */
	PERF_LOST, /* number */
};

/* Which events a log has its faults from, the best last. */
enum perf_faults {
	PERF_FAULTS_NONE,
	PERF_FAULTS_PARTS, /* minor-faults and major-faults */
	PERF_FAULTS_SOFTWARE, /* page-faults */
	PERF_FAULTS_TRACEPOINT,
};

enum perf_mode { PERF_MODE_UNKNOWN, PERF_MODE_USER, PERF_MODE_KERNEL };

struct perf_line {
	enum perf_kind kind;
	pid_t pid, tid; /* pid 0: not told */
	pid_t parent; /* FORK: the thread that made it */
	bool has_time;
	uint64_t time_ns;
	uint64_t period; /* faults that a sample stands for; 0: not told */
	int64_t number, result;
	uint64_t arg[6];
	uint64_t addr, len;
	uint32_t flags; /* TRACE_TOUCH_* */
	enum perf_faults faults;
	enum perf_mode mode;
	bool user_only; /* the event counts user mode alone */
	uint64_t offset, dev, ino;
	uint32_t map_flags; /* TRACE_MAP_* */
	char *name; /* of a map, a command */
};

/* Takes a line apart, in place.  NULL, or what is wrong with it. */
const char *perf_parse_line(char *line, struct perf_line *out);

/* ---- perf_survey.c: the first look ---- */

struct perf_birth {
	uint64_t flags; /* CLONE_* */
};

/* What must be known before the first event is made. */
struct perf_survey {
	enum perf_faults faults;
	bool has_calls;
	bool kernel_too; /* some software event counts the kernel's faults */
	char arch[16], release[HOST_TEXT_BYTES], command[256]; /* "": not told */
	struct perf_birth *birth; /* one for each FORK line */
	size_t nr_births, births_capacity;
	uint64_t *brk; /* one for each EXEC line: where brk begins; 0: not told */
	size_t nr_execs, execs_capacity;
	int64_t *early; /* the results of calls that take effect at their entry */
	size_t nr_early, early_capacity;
	bool *again; /* for each fault: its thread soon faults there again */
	size_t nr_touches, touches_capacity;
};

/* The result of a call that never returned. */
#define PERF_NO_RESULT INT64_MIN

/* Numbers of calls are those of this build; is the log of such a machine? */
bool perf_same_machine(const struct perf_survey *);
/* Of the log's machine, or else of this one. */
uint64_t perf_page_bytes(const struct perf_survey *);
/* Does the call take its place in the recording at its entry? */
bool perf_is_early(const struct stopped_call *);
int perf_survey_read(struct perf_survey *, struct import_log *);
void perf_survey_fini(struct perf_survey *);

/* ---- perf_maps.c: the mappings of an address space, as MMAP2 lines tell ---- */

struct perf_area {
	uint64_t start, end, offset;
	uint32_t flags; /* TRACE_MAP_* */
	uint32_t file; /* or TRACE_NONE */
	const char *name; /* the world's, or a literal: never freed */
};

struct perf_areas {
	struct perf_area *area; /* ascending, disjoint */
	size_t nr, capacity;
};

/* The first that ends above addr. */
size_t perf_areas_after(const struct perf_areas *, uint64_t addr);
/* Puts it in the place of what was there.  False: no memory. */
bool perf_areas_set(struct perf_areas *, const struct perf_area *);
bool perf_areas_copy(struct perf_areas *to, const struct perf_areas *from);
/* What an MMAP2 line tells, its file introduced; cuts the line's name. */
int perf_area_of(struct import_world *, const struct perf_line *, struct perf_area *);
/*
 * A mapping was made, has grown, or has other rights: the record is of the whole of
 * it, also of what was there before and what it was joined with.  Puts the calls that
 * make the difference.
 */
int perf_areas_change(struct import_world *, uint32_t thread, struct perf_areas *,
	const struct perf_area *);

#endif
