/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Showing a run: a lane for each CPU, a row for each step, the place in the
 * source of each.  Places are return addresses until here; binutils'
 * addr2line, where it is installed, turns them into files, lines and functions,
 * past the inline functions of headers.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explore/world.h"

#define LANE_WIDTH 38
#define WHERE_WIDTH 44
#define MAX_SITES 512u

const char *xp_kind_name(enum xp_kind kind)
{
	static const char *const names[XP_NR_KINDS] = {
#define XP_KIND_NAME(name, text) text,
		XP_KIND_LIST(XP_KIND_NAME)
#undef XP_KIND_NAME
	};

	return names[kind];
}

void xp_name_actor(char *text, size_t bytes, unsigned actor)
{
	if (actor >= XP_INTERRUPTS)
		snprintf(text, bytes, "the interrupt of cpu%u", actor - XP_INTERRUPTS);
	else if (actor == xp.nr_cpus)
		snprintf(text, bytes, "rcu");
	else
		snprintf(text, bytes, "cpu%u", actor);
}

static void name_in_arena(char *text, size_t bytes, const char *at)
{
	const struct xp_range *range = xp_range_of(at);

	if (range) {
		uint64_t offset = (uint64_t)(at - range->base);

		snprintf(text, bytes, "frame%" PRIu64 "+%" PRIu64, offset >> QUIRE_PAGE_SHIFT,
			 offset & ~QUIRE_PAGE_MASK);
		return;
	}
	snprintf(text, bytes, "mem+0x%" PRIx64, (uint64_t)(at - xp.arena));
}

static void show_named(char *text, size_t bytes, const struct xp_name *name,
		       uint64_t offset)
{
	char index[24] = "";

	if (name->each_bytes) {
		snprintf(index, sizeof(index), "[%" PRIu64 "]", offset / name->each_bytes);
		offset %= name->each_bytes;
	}
	if (offset == 0)
		snprintf(text, bytes, "%s%s", name->name, index);
	else
		snprintf(text, bytes, "%s%s+%" PRIu64, name->name, index, offset);
}

void xp_name_address(char *text, size_t bytes, const volatile void *addr)
{
	const char *at = (const char *)(uintptr_t)addr;

	for (unsigned i = 0; i < xp.state.nr_names; i++) {
		const struct xp_name *name = &xp.state.names[i];
		uint64_t offset = (uint64_t)(at - name->mem);

		if (offset >= name->bytes)
			continue;
		show_named(text, bytes, name, offset);
		return;
	}
	if ((uint64_t)(at - xp.arena) < xp.arena_bytes)
		name_in_arena(text, bytes, at);
	else if ((uint64_t)(at - xp.image) < xp.image_bytes)
		snprintf(text, bytes, "static+0x%" PRIx64, (uint64_t)(at - xp.image));
	else if (!at)
		snprintf(text, bytes, "-");
	else
		snprintf(text, bytes, "%p", (const void *)at);
}

/* ---- places in the source ---------------------------------------------------------- */

struct site_name {
	const void *site;
	char where[96];
};

struct site_table {
	unsigned nr;
	struct site_name names[MAX_SITES];
};

static struct site_name *site_find(struct site_table *table, const void *site)
{
	for (unsigned i = 0; i < table->nr; i++)
		if (table->names[i].site == site)
			return &table->names[i];
	return NULL;
}

static void site_insert(struct site_table *table, const void *site)
{
	struct site_name *name = &table->names[table->nr];

	if (!site || table->nr == MAX_SITES || site_find(table, site))
		return;
	name->site = site;
	snprintf(name->where, sizeof(name->where), "+0x%" PRIx64,
		 (uint64_t)((const char *)site - xp.image));
	table->nr++;
}

/* Prefers the first frame that lies in no header. */
static void take_place(struct site_name *name, const char *function, char *place,
		       bool *settled)
{
	char *file = strrchr(place, '/');
	char *end;

	if (*settled || place[0] == '?')
		return;
	file = file ? file + 1 : place;
	end = strpbrk(file, " \n");
	if (end)
		*end = '\0';
	*settled = strstr(file, ".h:") == NULL;
	snprintf(name->where, sizeof(name->where), "%.40s %.40s", file, function);
}

/* Lines: an address, then for each frame, innermost first, function and place. */
static void read_places(struct site_table *table, FILE *from)
{
	char line[1024], function[64] = "";
	unsigned at = 0, nth = 0;
	bool settled = false;

	while (fgets(line, sizeof(line), from)) {
		if (strncmp(line, "0x", 2) == 0) {
			at++;
			nth = 0;
			settled = false;
		} else if (nth++ % 2 == 0) {
			snprintf(function, sizeof(function), "%.*s",
				 (int)strcspn(line, "\n") > 63 ? 63 : (int)strcspn(line, "\n"),
				 line);
		} else if (at > 0 && at <= table->nr) {
			take_place(&table->names[at - 1], function, line, &settled);
		}
	}
}

static void find_places(struct site_table *table)
{
	char *command = NULL, program[512];
	size_t bytes = 0;
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	FILE *out, *from;

	if (length <= 0 || table->nr == 0)
		return;
	program[length] = '\0';
	if (strchr(program, '\'') || !(out = open_memstream(&command, &bytes)))
		return;
	fprintf(out, "addr2line -a -f -i -e '%s'", program);
	for (unsigned i = 0; i < table->nr; i++)
		fprintf(out, " 0x%" PRIx64,
			(uint64_t)((const char *)table->names[i].site - xp.image) - 1);
	fprintf(out, " 2>/dev/null");
	if (fclose(out) == 0 && (from = popen(command, "r"))) {
		read_places(table, from);
		pclose(from);
	}
	free(command);
}

/* ---- rows ------------------------------------------------------------------------------- */

static bool is_virtual(unsigned kind)
{
	return kind == XP_TLB_LOOKUP || kind == XP_TLB_FILL || kind == XP_ACCESS_END ||
	       kind == XP_FLUSH || kind == XP_FLUSH_DELIVER || kind == XP_FLUSH_DONE;
}

static void show_value(char *text, size_t bytes, uint64_t value)
{
	if (value - (uint64_t)(uintptr_t)xp.arena < xp.arena_bytes)
		xp_name_address(text, bytes, (const void *)(uintptr_t)value);
	else if (value < 4096)
		snprintf(text, bytes, "%" PRIu64, value);
	else
		snprintf(text, bytes, "0x%" PRIx64, value);
}

static void show_virtual(char *text, size_t bytes, const struct xp_event *e)
{
	uint64_t va = (uint64_t)(uintptr_t)e->addr;

	if (e->kind == XP_TLB_LOOKUP && e->failed)
		snprintf(text, bytes, "tlb misses 0x%" PRIx64, va);
	else if (e->kind == XP_TLB_LOOKUP)
		snprintf(text, bytes, "tlb hits 0x%" PRIx64 ": frame%" PRIu64, va, e->after);
	else if (e->kind == XP_TLB_FILL)
		snprintf(text, bytes, "tlb fill 0x%" PRIx64 ": frame%" PRIu64, va, e->after);
	else if (e->kind == XP_FLUSH && e->after == UINT64_MAX)
		snprintf(text, bytes, "tlb flush, all");
	else if (e->kind == XP_FLUSH)
		snprintf(text, bytes, "tlb flush 0x%" PRIx64 "-0x%" PRIx64, va, e->after);
	else if (e->kind == XP_FLUSH_DELIVER)
		snprintf(text, bytes, "(interrupt) flushes for cpu%" PRIu64, e->before);
	else
		snprintf(text, bytes, "%s 0x%" PRIx64, xp_kind_name(e->kind), va);
}

static void show_event(char *text, size_t bytes, const struct xp_event *e)
{
	char name[64], before[48], after[48];

	if (is_virtual(e->kind)) {
		show_virtual(text, bytes, e);
		return;
	}
	xp_name_address(name, sizeof(name), e->addr);
	show_value(before, sizeof(before), e->before);
	show_value(after, sizeof(after), e->after);
	switch ((enum xp_kind)e->kind) {
	case XP_LOAD:
	case XP_WALK:
		snprintf(text, bytes, "%s %s = %s", xp_kind_name(e->kind), name, after);
		break;
	case XP_STORE:
	case XP_RMW:
	case XP_WALK_MARK:
		snprintf(text, bytes, "%s %s %s->%s", xp_kind_name(e->kind), name, before,
			 after);
		break;
	case XP_CAS:
		snprintf(text, bytes, e->failed ? "cas %s fails: %s" : "cas %s %s->%s", name,
			 before, after);
		break;
	case XP_ALLOC:
	case XP_FREE:
		snprintf(text, bytes, "%s %s, %s bytes", xp_kind_name(e->kind), name, after);
		break;
	case XP_FAILS:
		snprintf(text, bytes, "*** fails here");
		break;
	case XP_WAKE:
		snprintf(text, bytes, "wake %s: %s woken", name, after);
		break;
	default:
		snprintf(text, bytes, "%s%s%s%s", xp_kind_name(e->kind), e->addr ? " " : "",
			 e->addr ? name : "", e->failed ? " (fails)" : "");
		break;
	}
}

static unsigned lane_of(const struct xp_event *e)
{
	return e->actor >= XP_INTERRUPTS ? e->actor - XP_INTERRUPTS : e->actor;
}

static void show_row(FILE *out, const struct xp_event *e, unsigned nr_lanes,
		     struct site_table *table)
{
	char what[256];
	const struct site_name *name = site_find(table, e->site);

	fprintf(out, "%6" PRIu64 " ", e->step);
	show_event(what, sizeof(what), e);
	for (unsigned lane = 0; lane < nr_lanes; lane++)
		fprintf(out, "| %-*.*s ", LANE_WIDTH, LANE_WIDTH,
			lane == lane_of(e) ? what : "");
	fprintf(out, "| %.*s\n", WHERE_WIDTH, name ? name->where : "");
}

static unsigned count_lanes(const struct xp_event *events, size_t from, size_t nr)
{
	unsigned lanes = xp.nr_cpus;

	for (size_t i = from; i < nr; i++)
		if (lane_of(&events[i]) + 1 > lanes)
			lanes = lane_of(&events[i]) + 1;
	return lanes;
}

char *xp_timeline(unsigned rows)
{
	size_t nr, from, bytes = 0;
	const struct xp_event *events = xp_recorded(&nr);
	struct site_table *table = calloc(1, sizeof(*table));
	char *text = NULL;
	FILE *out = table ? open_memstream(&text, &bytes) : NULL;
	unsigned lanes;

	if (!out) {
		free(table);
		return NULL;
	}
	from = nr > rows ? nr - rows : 0;
	for (size_t i = from; i < nr; i++)
		site_insert(table, events[i].site);
	find_places(table);
	lanes = count_lanes(events, from, nr);
	fprintf(out, "%6s ", "step");
	for (unsigned lane = 0; lane < lanes; lane++) {
		char name[32];

		xp_name_actor(name, sizeof(name), lane);
		fprintf(out, "| %-*s ", LANE_WIDTH, name);
	}
	fprintf(out, "| where\n");
	if (from > 0)
		fprintf(out, "%6s (%zu earlier rows)\n", "...", from);
	for (size_t i = from; i < nr; i++)
		show_row(out, &events[i], lanes, table);
	free(table);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
