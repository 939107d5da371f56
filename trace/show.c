/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recording as text: one line per event, and one per process at the end.
 * For people; the reader is for programs.
 */
#include "show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "reader.h"

/* An index, or "-". */
static const char *index_text(char text[16], uint32_t index)
{
	if (index == TRACE_NONE)
		return "-";
	snprintf(text, 16, "%u", index);
	return text;
}

static void show_number(FILE *out, const char *name, uint64_t value)
{
	if (value == TRACE_UNKNOWN)
		fprintf(out, " %s=?", name);
	else
		fprintf(out, " %s=%" PRIu64, name, value);
}

/* A field that is 0 is left out, but for rights, of which none are some. */
static void show_field(FILE *out, const struct trace_call *call, unsigned int what)
{
	const struct {
		const char *name;
		uint64_t value;
	} fields[] = {
		[TRACE_ARG_ADDR] = { "addr", call->addr },
		[TRACE_ARG_LEN] = { "len", call->len },
		[TRACE_ARG_NEW_ADDR] = { "new_addr", call->new_addr },
		[TRACE_ARG_NEW_LEN] = { "new_len", call->new_len },
		[TRACE_ARG_OFFSET] = { "offset", call->offset },
		[TRACE_ARG_PROT] = { "prot", call->prot },
		[TRACE_ARG_FLAGS] = { "flags", call->flags },
		[TRACE_ARG_ADVICE] = { "advice", call->advice },
		[TRACE_ARG_KEY] = { "key", call->key },
		[TRACE_ARG_COUNT] = { "count", call->count },
	};

	if (what >= sizeof(fields) / sizeof(fields[0]) || !fields[what].name)
		return;
	if (what == TRACE_ARG_ADVICE || what == TRACE_ARG_COUNT || what == TRACE_ARG_KEY) {
		if (fields[what].value)
			fprintf(out, " %s=%" PRIu64, fields[what].name, fields[what].value);
	} else if (fields[what].value || what == TRACE_ARG_PROT) {
		fprintf(out, " %s=%#" PRIx64, fields[what].name, fields[what].value);
	}
}

static void show_call(FILE *out, const struct trace_call *call)
{
	const struct trace_call_info *info = trace_call_info(call->nr);

	fprintf(out, "%s", call->name ? call->name : info->name);
	for (unsigned int what = 0; info->fields >> what; what++)
		if (info->fields >> what & 1)
			show_field(out, call, what);
	if (call->file != TRACE_NONE)
		fprintf(out, " file=%u file_bytes=%" PRIu64, call->file, call->file_bytes);
	if (call->target != TRACE_NONE)
		fprintf(out, " target=%u", call->target);
	if (call->result < 0)
		fprintf(out, " = -1 (%s)", strerror((int)-call->result));
	else
		fprintf(out, " = %#" PRIx64, (uint64_t)call->result);
}

static void show_rights(FILE *out, const struct trace_rights *rights)
{
	static const char *const words[] = {
		NULL, "may_lock_any", "no_huge_pages", "huge_pages_by_advice_alone",
		"no_exec_gain", "no_exec_gain_not_inherited", "bottom_up",
	};

	show_number(out, "stack", rights->stack_bytes);
	show_number(out, "as", rights->as_bytes);
	show_number(out, "data", rights->data_bytes);
	show_number(out, "memlock", rights->memlock_bytes);
	for (unsigned int i = 1; i < sizeof(words) / sizeof(words[0]); i++)
		if (rights->flags & 1u << i)
			fprintf(out, " %s", words[i]);
}

static void show_said(FILE *out, const struct trace_said *said)
{
	show_number(out, "minor_faults", said->minor_faults);
	show_number(out, "major_faults", said->major_faults);
	show_number(out, "peak_rss", said->peak_rss_bytes);
	show_number(out, "rss", said->rss_bytes);
	show_number(out, "anon", said->rss_anon_bytes);
	show_number(out, "file", said->rss_file_bytes);
	show_number(out, "shmem", said->rss_shmem_bytes);
	show_number(out, "peak_page_tables", said->peak_page_table_bytes);
	show_number(out, "page_tables", said->page_table_bytes);
	show_number(out, "peak_as", said->peak_as_bytes);
	show_number(out, "locked", said->locked_bytes);
	show_number(out, "vmas", said->vmas);
	show_number(out, "peak_vmas", said->peak_vmas);
}

static void show_touch(FILE *out, const struct trace_touch *touch)
{
	static const char *const words[] = {
		"write", "exec", "exact", "present", "kernel", "sweep", "setup",
	};

	fprintf(out, "%#" PRIx64, touch->addr);
	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (touch->flags & 1u << i)
			fprintf(out, " %s", words[i]);
}

static void show_start(FILE *out, const struct trace_process_start *start)
{
	char parent[16];

	fprintf(out, "pid=%u by=%s parent=%s mm=%u%s clone_flags=%#" PRIx64, start->pid,
		trace_how_name(start->how), index_text(parent, start->parent), start->mm,
		start->shares_mm ? " (shared)" : "", start->clone_flags);
}

static void show_exec(FILE *out, const struct trace_exec *exec)
{
	fprintf(out, "mm=%u maps=%zu brk=%#" PRIx64 " mmap_base=%#" PRIx64, exec->mm,
		exec->maps.nr, exec->layout.start_brk, exec->layout.mmap_base);
	show_number(out, "minor_faults", exec->minor_faults);
	show_number(out, "major_faults", exec->major_faults);
	show_rights(out, &exec->rights);
	fprintf(out, " path=%s: %s", exec->path, exec->arguments);
}

static void show_body(FILE *out, const struct trace_event *e)
{
	switch (e->kind) {
	case TRACE_FILE:
		fprintf(out, "file=%u kind=%s dev=%#" PRIx64 " ino=%" PRIu64 " bytes=%" PRIu64
			" path=%s%s", e->file.file, trace_file_kind_name(e->file.kind),
			e->file.dev, e->file.ino, e->file.bytes, e->file.path,
			e->file.deleted ? " (deleted)" : "");
		break;
	case TRACE_PROCESS_START:
		show_start(out, &e->process_start);
		break;
	case TRACE_THREAD_START:
		fprintf(out, "tid=%u", e->thread_start.tid);
		break;
	case TRACE_EXEC:
		show_exec(out, &e->exec);
		break;
	case TRACE_CALL:
		show_call(out, &e->call);
		break;
	case TRACE_TOUCH:
		show_touch(out, &e->touch);
		break;
	case TRACE_MM_END:
		fprintf(out, "mm=%u by=%s%s maps=%zu", e->mm_end.mm,
			e->mm_end.by_exec ? "exec" : e->mm_end.detached ? "detaching" : "exit",
			e->mm_end.complete ? "" : " incomplete", e->mm_end.maps.nr);
		show_said(out, &e->mm_end.said);
		break;
	case TRACE_PROCESS_EXIT:
		if (WIFSIGNALED(e->process_exit.status))
			fprintf(out, "signal=%d", WTERMSIG(e->process_exit.status));
		else
			fprintf(out, "status=%d", WEXITSTATUS(e->process_exit.status));
		show_number(out, "minor_faults", e->process_exit.minor_faults);
		show_number(out, "major_faults", e->process_exit.major_faults);
		break;
	case TRACE_LOST:
		fprintf(out, "%" PRIu64 " touches, %" PRIu64 " records of calls", e->lost.nr,
			e->lost.nr_calls);
		break;
	case TRACE_NOTE:
		fprintf(out, "%s", e->note.text);
		break;
	case TRACE_SIGNAL:
		fprintf(out, "signal=%u code=%d addr=%#" PRIx64, e->signal.number, e->signal.code,
			e->signal.addr);
		break;
	case TRACE_LIMITS:
		show_rights(out, &e->limits.rights);
		break;
	case TRACE_CAME:
		fprintf(out, "%#" PRIx64 " pages=%" PRIu64 " %s", e->came.addr, e->came.nr_pages,
			trace_came_name(e->came.how));
		break;
	case TRACE_HOST:
		fprintf(out, "%s=%s", e->host.name, e->host.text);
		break;
	case TRACE_THREAD_EXIT:
	case TRACE_NR_KINDS:
		break;
	}
}

void show_event(FILE *out, const struct trace_event *event)
{
	char process[16], thread[16];

	fprintf(out, "%" PRIu64 ".%06" PRIu64 " p%s t%s %s ", event->time_us / 1000000,
		event->time_us % 1000000, index_text(process, event->process),
		index_text(thread, event->thread), trace_kind_name(event->kind));
	show_body(out, event);
	fputc('\n', out);
}

static void show_maps(FILE *out, const struct trace_maps *maps)
{
	for (size_t i = 0; i < maps->nr; i++) {
		const struct trace_map *map = &maps->map[i];
		char file[16];

		fprintf(out, "\t%" PRIx64 "-%" PRIx64 " %c%c%c%c %08" PRIx64 " file=%s %s\n",
			map->start, map->end, map->flags & TRACE_MAP_READ ? 'r' : '-',
			map->flags & TRACE_MAP_WRITE ? 'w' : '-',
			map->flags & TRACE_MAP_EXEC ? 'x' : '-',
			map->flags & TRACE_MAP_SHARED ? 's' : 'p', map->offset_bytes,
			index_text(file, map->file), map->name);
	}
}

/* ---- the summary ---- */

struct process_summary {
	uint32_t pid;
	uint64_t touches, calls, execs;
	char *program; /* the last it ran */
	bool exited;
	int status;
	uint64_t minor_faults, major_faults;
	uint64_t peak_rss_bytes, peak_page_table_bytes, vmas;
};

struct summary {
	struct process_summary *process;
	uint32_t nr, capacity;
	uint64_t events, touches, calls, lost, lost_calls, files;
};

static struct process_summary *summary_of(struct summary *s, uint32_t process)
{
	if (process >= s->capacity) {
		uint32_t capacity = (process + 32) * 2;
		struct process_summary *grown = realloc(s->process, capacity * sizeof(*grown));

		if (!grown)
			return NULL;
		memset(grown + s->capacity, 0, (capacity - s->capacity) * sizeof(*grown));
		s->process = grown;
		s->capacity = capacity;
	}
	if (process >= s->nr)
		s->nr = process + 1;
	return &s->process[process];
}

static void add_mm_end(struct process_summary *p, const struct trace_mm_end *end)
{
	const struct trace_said *said = &end->said;

	if (said->peak_rss_bytes != TRACE_UNKNOWN && said->peak_rss_bytes > p->peak_rss_bytes)
		p->peak_rss_bytes = said->peak_rss_bytes;
	if (said->peak_page_table_bytes != TRACE_UNKNOWN &&
	    said->peak_page_table_bytes > p->peak_page_table_bytes)
		p->peak_page_table_bytes = said->peak_page_table_bytes;
	if (said->vmas != TRACE_UNKNOWN)
		p->vmas = said->vmas;
}

static bool add_to_summary(struct summary *s, const struct trace_event *e)
{
	struct process_summary *p = NULL;

	s->events++;
	if (e->process != TRACE_NONE) {
		p = summary_of(s, e->process);
		if (!p)
			return false;
	}
	switch (e->kind) {
	case TRACE_FILE:
		s->files++;
		break;
	case TRACE_LOST:
		s->lost += e->lost.nr;
		s->lost_calls += e->lost.nr_calls;
		break;
	case TRACE_PROCESS_START:
		p->pid = e->process_start.pid;
		break;
	case TRACE_EXEC:
		p->execs++;
		free(p->program);
		p->program = strdup(e->exec.path);
		break;
	case TRACE_TOUCH:
		p->touches++;
		s->touches++;
		break;
	case TRACE_CALL:
		p->calls++;
		s->calls++;
		break;
	case TRACE_MM_END:
		add_mm_end(p, &e->mm_end);
		break;
	case TRACE_PROCESS_EXIT:
		p->exited = true;
		p->status = e->process_exit.status;
		p->minor_faults = e->process_exit.minor_faults;
		p->major_faults = e->process_exit.major_faults;
		break;
	default:
		break;
	}
	return true;
}

struct trait_line {
	FILE *out;
	size_t column;
};

/* "name=text", as many to a line as there is room for. */
static void show_trait(void *context, const char *name, const char *text)
{
	struct trait_line *line = context;
	size_t width = strlen(name) + strlen(text) + 2;

	if (line->column + width > 79) {
		fputs("\n ", line->out);
		line->column = 1;
	}
	line->column += width;
	fprintf(line->out, " %s=%s", name, text);
}

static void show_header(FILE *out, const struct trace_header *h)
{
	struct trait_line line = { .out = out, .column = 5 };

	fprintf(out, "command: %s\nrecorder: %s, format version %u\n", h->command, h->recorder,
		h->version);
	fprintf(out, "touches: %s\ncalls: %s\nhost:", trace_source_name(h->source),
		trace_calls_name(h->calls));
	host_for_each(&h->host, show_trait, &line);
	fputc('\n', out);
	if (h->nr_unknown)
		fprintf(out, "%u names in the header are not known to this program\n", h->nr_unknown);
}

/* A number of a column, or "-". */
static const char *column(char text[24], uint64_t value)
{
	if (value == TRACE_UNKNOWN)
		return "-";
	snprintf(text, 24, "%" PRIu64, value);
	return text;
}

static void show_summary(FILE *out, const struct summary *s)
{
	fprintf(out, "%" PRIu64 " events: %" PRIu64 " touches, %" PRIu64 " calls, %u processes",
		s->events, s->touches, s->calls, s->nr);
	if (s->lost)
		fprintf(out, "; %" PRIu64 " touches were LOST", s->lost);
	if (s->lost_calls)
		fprintf(out, "; %" PRIu64 " records of calls were LOST", s->lost_calls);
	fprintf(out, "\n%7s %7s %8s %7s %8s %6s %10s %8s %6s %7s  %s\n", "process", "pid",
		"touches", "calls", "minor", "major", "peak RSS K", "tables K", "VMAs", "end",
		"program");
	for (uint32_t i = 0; i < s->nr; i++) {
		const struct process_summary *p = &s->process[i];
		char end[16] = "-", minor[24], major[24];

		if (p->exited && WIFSIGNALED(p->status))
			snprintf(end, sizeof(end), "sig %d", WTERMSIG(p->status));
		else if (p->exited)
			snprintf(end, sizeof(end), "%d", WEXITSTATUS(p->status));
		fprintf(out, "%7u %7u %8" PRIu64 " %7" PRIu64 " %8s %6s"
			" %10" PRIu64 " %8" PRIu64 " %6" PRIu64 " %7s  %s\n", i, p->pid,
			p->touches, p->calls, column(minor, p->minor_faults),
			column(major, p->major_faults), p->peak_rss_bytes / 1024, p->peak_page_table_bytes / 1024, p->vmas, end,
			p->program ? p->program : "");
	}
}

static void show_one(FILE *out, const struct show_options *options, const struct trace_event *e)
{
	if (!options->events || (e->kind == TRACE_TOUCH && !options->touches))
		return;
	show_event(out, e);
	if (!options->maps)
		return;
	if (e->kind == TRACE_EXEC)
		show_maps(out, &e->exec.maps);
	else if (e->kind == TRACE_MM_END)
		show_maps(out, &e->mm_end.maps);
}

int show_recording(FILE *out, const char *path, const struct show_options *options,
	struct trace_error *error)
{
	struct trace_reader *reader = trace_reader_open(path, error);
	struct summary summary = { 0 };
	const struct trace_event *event;
	int got;

	if (!reader)
		return error ? -error->err : -EIO;
	if (options->summary)
		show_header(out, trace_reader_header(reader));
	while ((got = trace_reader_next(reader, &event, error)) > 0) {
		show_one(out, options, event);
		if (!add_to_summary(&summary, event)) {
			got = trace_fail(error, ENOMEM, 0, "%s: no memory for a summary", path);
			break;
		}
	}
	if (options->summary)
		show_summary(out, &summary);
	if (options->summary && trace_reader_nr_skipped(reader))
		fprintf(out, "%" PRIu64 " events of kinds that this program does not know were "
			"passed over\n", trace_reader_nr_skipped(reader));
	for (uint32_t i = 0; i < summary.nr; i++)
		free(summary.process[i].program);
	free(summary.process);
	trace_reader_close(reader);
	return got;
}
