/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read or write, where the source of touches does not say; and which pages
 * seen in pagemap nobody has told us of yet.
 *
 * A small model of each address space is kept: its mappings and the pages
 * that were touched.  From it a fault is judged:
 *
 *  0. a fetch is known;
 *  1. on a page that was touched before: a write, because only a write can
 *     fault on a page that is mapped (copy on write, dirty tracking);
 *  2. on writable private memory: a read if the same thread soon faults there
 *     again (the second then is the write, by rule 1), or else a write;
 *  3. on a writable shared mapping: a write; a read before it would have
 *     faulted first and then rule 1 applies;
 *  4. otherwise a read.
 *
 * The model knows nothing of fault-around, so rule 1 never sees the pages that
 * came in beside a touched one.  Its word is marked as inferred.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "recorder.h"

struct area {
	uint64_t start, end;
	uint32_t flags; /* TRACE_MAP_* */
	bool file;
};

struct space {
	bool alive, forked;
	struct area *area; /* ascending, disjoint */
	size_t nr_areas, areas_capacity;
	uint64_t *page; /* touched page numbers + 1; open addressing; 0: free */
	size_t nr_pages, pages_capacity;
	uint64_t brk;
};

struct model {
	uint64_t page_bytes;
	struct space *space; /* by mm index */
	uint32_t spaces_capacity;
	uint32_t *process_mm; /* by process index */
	uint32_t processes_capacity;
};

/* ---- the set of touched pages ---- */

/* In a slot, beside the page: came from the parent, not written since. */
#define INHERITED (UINT64_C(1) << 63)

static size_t page_slot(const uint64_t *table, size_t capacity, uint64_t key)
{
	size_t at;

	key &= ~INHERITED;
	at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (capacity - 1);
	while (table[at] && (table[at] & ~INHERITED) != key)
		at = (at + 1) & (capacity - 1);
	return at;
}

static bool pages_inherited(const struct space *s, uint64_t page)
{
	return s->pages_capacity &&
		s->page[page_slot(s->page, s->pages_capacity, page + 1)] & INHERITED;
}

static bool pages_find(const struct space *s, uint64_t page)
{
	return s->pages_capacity &&
		s->page[page_slot(s->page, s->pages_capacity, page + 1)];
}

/* Puts the pages outside [cut_start, cut_end) into a table of capacity. */
static void pages_rebuild(struct space *s, size_t capacity, uint64_t cut_start, uint64_t cut_end)
{
	uint64_t *table = calloc(capacity, sizeof(*table));
	size_t nr = 0;

	if (!table)
		return;
	for (size_t i = 0; i < s->pages_capacity; i++) {
		uint64_t key = s->page[i];

		uint64_t page = (key & ~INHERITED) - 1;

		if (!key || (page >= cut_start && page < cut_end))
			continue;
		table[page_slot(table, capacity, key)] = key;
		nr++;
	}
	free(s->page);
	s->page = table;
	s->pages_capacity = capacity;
	s->nr_pages = nr;
}

static void pages_insert(struct space *s, uint64_t page, uint64_t inherited)
{
	size_t at;

	if (s->nr_pages * 2 >= s->pages_capacity)
		pages_rebuild(s, s->pages_capacity ? s->pages_capacity * 2 : 256, 0, 0);
	if (s->nr_pages * 2 >= s->pages_capacity && s->nr_pages + 1 >= s->pages_capacity)
		return; /* no memory: the model forgets a page, its word is a guess */
	at = page_slot(s->page, s->pages_capacity, page + 1);
	s->nr_pages += !s->page[at];
	s->page[at] = (page + 1) | inherited;
}

/* Removes one page and closes the gap in its chain. */
static void pages_remove(struct space *s, uint64_t page)
{
	size_t mask = s->pages_capacity - 1;
	size_t hole = page_slot(s->page, s->pages_capacity, page + 1);

	if (!s->page[hole])
		return;
	s->page[hole] = 0;
	s->nr_pages--;
	for (size_t at = (hole + 1) & mask; s->page[at]; at = (at + 1) & mask) {
		uint64_t key = s->page[at];

		s->page[at] = 0;
		s->page[page_slot(s->page, s->pages_capacity, key)] = key;
	}
}

/* The pages of [from, from + nr) that are there are so at to as well. */
static void pages_copy(struct space *s, uint64_t from, uint64_t to, uint64_t nr)
{
	size_t capacity = s->pages_capacity;
	uint64_t *table;

	if (nr <= capacity) {
		for (uint64_t i = 0; i < nr; i++)
			if (pages_find(s, from + i))
				pages_insert(s, to + i, 0);
		return;
	}
	/* A log may tell of ranges of any length: then by what is there.  Inserting
	 * changes the table. */
	table = malloc(capacity * sizeof(*table) + 1);
	if (!table)
		return;
	if (capacity)
		memcpy(table, s->page, capacity * sizeof(*table));
	for (size_t i = 0; i < capacity; i++) {
		uint64_t page = (table[i] & ~INHERITED) - 1;

		if (table[i] && page - from < nr)
			pages_insert(s, to + (page - from), 0);
	}
	free(table);
}

static void pages_cut(struct space *s, uint64_t start, uint64_t end)
{
	if (!s->nr_pages || start >= end)
		return;
	if (end - start > s->pages_capacity / 4) {
		pages_rebuild(s, s->pages_capacity, start, end);
		return;
	}
	for (uint64_t page = start; page < end; page++)
		pages_remove(s, page);
}

/* ---- the mappings ---- */

static size_t area_after(const struct space *s, uint64_t addr)
{
	size_t low = 0, high = s->nr_areas;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->area[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct area *area_of(const struct space *s, uint64_t addr)
{
	size_t i = area_after(s, addr);

	return i < s->nr_areas && s->area[i].start <= addr ? &s->area[i] : NULL;
}

static bool areas_insert(struct space *s, size_t at, struct area area)
{
	if (s->nr_areas == s->areas_capacity) {
		size_t capacity = s->areas_capacity ? s->areas_capacity * 2 : 64;
		struct area *grown = realloc(s->area, capacity * sizeof(*grown));

		if (!grown)
			return false;
		s->area = grown;
		s->areas_capacity = capacity;
	}
	memmove(s->area + at + 1, s->area + at, (s->nr_areas - at) * sizeof(s->area[0]));
	s->area[at] = area;
	s->nr_areas++;
	return true;
}

/* Makes addr a boundary, if it lies inside an area. */
static void split(struct space *s, uint64_t addr)
{
	size_t i = area_after(s, addr);
	struct area right;

	if (i == s->nr_areas || s->area[i].start >= addr)
		return;
	right = s->area[i];
	right.start = addr;
	if (areas_insert(s, i + 1, right))
		s->area[i].end = addr;
}

static void cut_areas(struct space *s, uint64_t start, uint64_t end)
{
	size_t from, to;

	if (!s->nr_areas)
		return;
	split(s, start);
	split(s, end);
	from = area_after(s, start);
	for (to = from; to < s->nr_areas && s->area[to].end <= end; to++)
		;
	memmove(s->area + from, s->area + to, (s->nr_areas - to) * sizeof(s->area[0]));
	s->nr_areas -= to - from;
}

static void add_area(struct space *s, uint64_t start, uint64_t end, uint32_t flags, bool file)
{
	if (start >= end)
		return;
	cut_areas(s, start, end);
	areas_insert(s, area_after(s, start),
		(struct area){ .start = start, .end = end, .flags = flags, .file = file });
}

static uint32_t flags_of_prot(uint32_t prot)
{
	return (prot & PROT_READ ? TRACE_MAP_READ : 0u) |
		(prot & PROT_WRITE ? TRACE_MAP_WRITE : 0u) |
		(prot & PROT_EXEC ? TRACE_MAP_EXEC : 0u);
}

static void protect(struct space *s, uint64_t start, uint64_t end, uint32_t prot)
{
	split(s, start);
	split(s, end);
	for (size_t i = area_after(s, start); i < s->nr_areas && s->area[i].end <= end; i++)
		s->area[i].flags = (s->area[i].flags & TRACE_MAP_SHARED) | flags_of_prot(prot);
}

/* ---- events ---- */

static struct space *space_of(struct model *m, uint32_t mm)
{
	if (mm >= m->spaces_capacity) {
		uint32_t capacity = (mm + 64) * 2;
		struct space *grown = realloc(m->space, capacity * sizeof(*grown));

		if (!grown)
			return NULL;
		memset(grown + m->spaces_capacity, 0,
			(capacity - m->spaces_capacity) * sizeof(*grown));
		m->space = grown;
		m->spaces_capacity = capacity;
	}
	return &m->space[mm];
}

static void space_fini(struct space *s)
{
	free(s->area);
	free(s->page);
	*s = (struct space){ 0 };
}

static void unmap(const struct model *m, struct space *s, uint64_t addr, uint64_t len)
{
	uint64_t end = addr + len + m->page_bytes - 1;

	end -= end % m->page_bytes;
	cut_areas(s, addr, end);
	pages_cut(s, addr / m->page_bytes, end / m->page_bytes);
}

static void do_mremap(const struct model *m, struct space *s, const struct trace_call *call)
{
	const struct area *area = area_of(s, call->addr);
	uint64_t to = (uint64_t)call->result;
	struct area moved;
	uint64_t pages = (call->len < call->new_len ? call->len : call->new_len) / m->page_bytes;

	if (!area)
		return;
	moved = *area;
	if (to != call->addr) {
		uint64_t from_page = call->addr / m->page_bytes, to_page = to / m->page_bytes;

		unmap(m, s, to, call->new_len);
		pages_copy(s, from_page, to_page, pages);
		if (!(call->flags & MREMAP_DONTUNMAP))
			unmap(m, s, call->addr, call->len);
	} else if (call->new_len < call->len) {
		unmap(m, s, to + call->new_len, call->len - call->new_len);
	}
	add_area(s, to, to + call->new_len, moved.flags, moved.file);
}

static void do_brk(const struct model *m, struct space *s, uint64_t now)
{
	uint64_t start = (s->brk + m->page_bytes - 1) & ~(m->page_bytes - 1);
	uint64_t end = (now + m->page_bytes - 1) & ~(m->page_bytes - 1);

	if (s->brk && end > start)
		add_area(s, start, end, TRACE_MAP_READ | TRACE_MAP_WRITE, false);
	else if (s->brk && end < start)
		unmap(m, s, end, start - end);
	s->brk = now;
}

static void do_call(const struct model *m, struct space *s, const struct trace_call *call)
{
	if (call->result < 0)
		return;
	switch (call->nr) {
	case TRACE_MMAP:
		unmap(m, s, (uint64_t)call->result, call->len);
		add_area(s, (uint64_t)call->result,
			((uint64_t)call->result + call->len + m->page_bytes - 1) &
				~(m->page_bytes - 1),
			flags_of_prot(call->prot) |
				(call->flags & MAP_SHARED ? TRACE_MAP_SHARED : 0u),
			call->file != TRACE_NONE);
		break;
	case TRACE_SHMAT:
		unmap(m, s, (uint64_t)call->result, call->len);
		add_area(s, (uint64_t)call->result, (uint64_t)call->result + call->len,
			TRACE_MAP_READ | TRACE_MAP_WRITE | TRACE_MAP_SHARED, true);
		break;
	case TRACE_MUNMAP:
		unmap(m, s, call->addr, call->len);
		break;
	case TRACE_MPROTECT:
	case TRACE_PKEY_MPROTECT:
		protect(s, call->addr, call->addr + call->len, call->prot);
		break;
	case TRACE_MREMAP:
		do_mremap(m, s, call);
		break;
	case TRACE_BRK:
		do_brk(m, s, (uint64_t)call->result);
		break;
	case TRACE_MADVISE:
		if (call->advice == MADV_DONTNEED || call->advice == MADV_REMOVE)
			pages_cut(s, call->addr / m->page_bytes,
				(call->addr + call->len) / m->page_bytes);
		break;
	default:
		break;
	}
}

static void do_maps(struct space *s, const struct trace_exec *exec)
{
	for (size_t i = 0; i < exec->maps.nr; i++) {
		const struct trace_map *map = &exec->maps.map[i];

		areas_insert(s, s->nr_areas, (struct area){
			.start = map->start, .end = map->end, .flags = map->flags,
			.file = map->file != TRACE_NONE });
	}
	s->brk = exec->layout.start_brk;
	s->alive = true;
}

/*
 * A child begins with its parent's pages, but for those of mappings that
 * have no page of their own: fork leaves them out and lets them fault again.
 */
static void do_fork(struct model *m, struct space *child, const struct space *parent)
{
	for (size_t i = 0; i < parent->nr_areas; i++)
		areas_insert(child, i, parent->area[i]);
	for (size_t i = 0; i < parent->pages_capacity; i++) {
		uint64_t page = (parent->page[i] & ~INHERITED) - 1;
		const struct area *area;

		if (!parent->page[i])
			continue;
		area = area_of(parent, page * m->page_bytes);
		if (!area || (!(area->flags & TRACE_MAP_SHARED) &&
			      (!area->file || area->flags & TRACE_MAP_WRITE)))
			pages_insert(child, page, INHERITED);
	}
	child->brk = parent->brk;
	child->forked = true;
	child->alive = true;
}

static bool note_process(struct model *m, uint32_t process, uint32_t mm)
{
	if (process >= m->processes_capacity) {
		uint32_t capacity = (process + 64) * 2;
		uint32_t *grown = realloc(m->process_mm, capacity * sizeof(*grown));

		if (!grown)
			return false;
		m->process_mm = grown;
		m->processes_capacity = capacity;
	}
	m->process_mm[process] = mm;
	return true;
}

static void do_start(struct model *m, const struct trace_event *e)
{
	const struct trace_process_start *start = &e->process_start;
	struct space *child;

	if (!note_process(m, e->process, start->mm) || start->shares_mm)
		return;
	child = space_of(m, start->mm);
	if (child && start->parent != TRACE_NONE)
		do_fork(m, child, &m->space[m->process_mm[start->parent]]);
}

void model_event(struct model *m, const struct trace_event *e)
{
	struct space *s;

	switch (e->kind) {
	case TRACE_PROCESS_START:
		do_start(m, e);
		break;
	case TRACE_EXEC:
		s = space_of(m, e->exec.mm);
		if (s && note_process(m, e->process, e->exec.mm))
			do_maps(s, &e->exec);
		break;
	case TRACE_CALL:
		s = space_of(m, m->process_mm[e->process]);
		if (s)
			do_call(m, s, &e->call);
		break;
	case TRACE_MM_END:
		s = space_of(m, e->mm_end.mm);
		if (s)
			space_fini(s);
		break;
	default:
		break;
	}
}

uint32_t model_touch(struct model *m, uint32_t mm, uint64_t addr, uint32_t known_flags)
{
	struct space *s = space_of(m, mm);
	uint64_t page = addr / m->page_bytes;
	const struct area *area;
	uint32_t flags = known_flags & ~SAMPLE_AGAIN;
	bool private;

	if (!s)
		return flags;
	area = area_of(s, addr);
	private = !area || !(area->flags & TRACE_MAP_SHARED);
	if (flags & TRACE_TOUCH_EXEC)
		;
	else if (pages_find(s, page))
		flags |= TRACE_TOUCH_WRITE | TRACE_TOUCH_PRESENT;
	else if (private && known_flags & SAMPLE_AGAIN)
		;
	else if (!area || area->flags & TRACE_MAP_WRITE)
		flags |= TRACE_TOUCH_WRITE; /* no area: the stack grows */
	pages_insert(s, page, 0);
	return flags;
}

uint32_t model_seen(struct model *m, uint32_t mm, uint64_t seen, bool files_too)
{
	/* The pages that fault-around brings in at once, on most machines. */
	enum { AROUND = 16 };
	struct space *s = space_of(m, mm);
	uint64_t page = seen / m->page_bytes;
	uint32_t flags = TRACE_TOUCH_SWEEP;

	if (!s)
		return 0;
	/* After fork a page of the child's own is one that it wrote: mostly, for
	 * it is also so where the parent wrote or went away. */
	if (pages_inherited(s, page) && seen & SEEN_ANON && seen & SEEN_EXCLUSIVE && files_too) {
		pages_insert(s, page, 0);
		return flags | TRACE_TOUCH_WRITE | TRACE_TOUCH_PRESENT;
	}
	if (pages_find(s, page))
		return 0;
	if (seen & SEEN_ZERO) {
		; /* it was read */
	} else if (seen & SEEN_ANON || (seen & SEEN_SHARED && seen & SEEN_WRITABLE)) {
		/* A shared page may have come in beside another. */
		if (!(seen & SEEN_ANON) && !files_too)
			return 0;
		/* It may only be read now: the parent wrote it, or it was filled before. */
		if (!(seen & SEEN_WRITABLE) && s->forked) {
			pages_insert(s, page, INHERITED);
			return 0;
		}
		if (seen & SEEN_WRITABLE)
			flags |= TRACE_TOUCH_WRITE;
	} else if (!files_too) {
		return 0;
	} else {
		/* One read brought the whole window in. */
		for (uint64_t i = page & ~(uint64_t)(AROUND - 1); i < page; i++)
			if (pages_find(s, i)) {
				pages_insert(s, page, 0);
				return 0;
			}
		if (seen & SEEN_EXEC)
			flags |= TRACE_TOUCH_EXEC;
	}
	pages_insert(s, page, 0);
	return flags;
}

struct model *model_create(uint64_t page_bytes)
{
	struct model *m = calloc(1, sizeof(*m));

	if (m)
		m->page_bytes = page_bytes;
	return m;
}

void model_destroy(struct model *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->spaces_capacity; i++)
		space_fini(&m->space[i]);
	free(m->space);
	free(m->process_mm);
	free(m);
}
