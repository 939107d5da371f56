/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs programs on the core: one instance per program, one address space per
 * process, the operations in their order on one CPU.
 */
#include <setjmp.h>
#include <string.h>

#include <quire/quire.h>
#include <quire/testing.h>

#include "core.h"

#define MEMORY_BYTES (UINT64_C(96) << 20)
#define HUGE_MEMORY_BYTES (UINT64_C(384) << 20) /* of programs that ask for huge pages */

/* What stands for a disk. */
#define DISK_BYTES (64 * DIFF_PAGE)

struct core {
	struct quire *q;
	uint8_t disk[DISK_BYTES];
	const struct diff_layout *layout;
	struct diff_outcome *outcome;
	struct quire_file *files[DIFF_NR_FILES];
	struct quire_file *layout_files[LAYOUT_MAX_MAPS];
	struct quire_mm *mms[DIFF_MAX_PROCS];
	struct quire_limits limits[DIFF_MAX_PROCS];
	struct quire_mm_stats initial;
};

/* Where a stop of the machine goes; one program runs at a time. */
static jmp_buf stopped;
static char stop_text[256];

static void on_stop(const char *file, int line, const char *what)
{
	snprintf(stop_text, sizeof(stop_text), "the core stopped at %s:%d: %s", file, line, what);
	longjmp(stopped, 1);
}

int core_attach(void)
{
	if (!quire_geometry_matches(QUIRE_PAGE_SHIFT, QUIRE_LEVEL_BITS, QUIRE_LEVELS) ||
	    quire_attach()) {
		fprintf(stderr, "quire-differential: cannot attach to the machine\n");
		return -1;
	}
	quire_set_stop_handler(on_stop);
	return 0;
}

/* ---- before and after a program ------------------------------------------------------ */

static int disk_read(void *context, uint64_t offset, void *buf, uint64_t len_bytes)
{
	const uint8_t *disk = context;

	memset(buf, 0, len_bytes);
	if (offset < DISK_BYTES)
		memcpy(buf, disk + offset,
		       len_bytes < DISK_BYTES - offset ? len_bytes : DISK_BYTES - offset);
	return 0;
}

static int disk_write(void *context, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	uint8_t *disk = context;

	if (offset > DISK_BYTES || len_bytes > DISK_BYTES - offset)
		return -QUIRE_EIO;
	memcpy(disk + offset, buf, len_bytes);
	return 0;
}

static int create_files(struct core *core)
{
	uint8_t page[DIFF_PAGE];
	int err = 0;

	for (uint32_t i = 0; i < DIFF_NR_FILES && !err; i++) {
		const struct diff_file_info *info = &diff_files[i];
		const struct quire_file_config config = {
			.kind = info->kind,
			.mode = info->mode,
			.size_bytes = 0,
			.backing = { .context = core->disk, .read = disk_read, .write = disk_write },
		};
		uint32_t first = 0;

		while (diff_files[first].content != info->content)
			first++;
		if (first < i) {
			err = quire_file_reopen(core->files[first], info->mode, &core->files[i]);
			continue;
		}
		err = quire_file_create(core->q, &config, &core->files[i]);
		for (uint64_t p = 0; p < info->nr_pages && !err; p++) {
			for (uint64_t j = 0; j < DIFF_PAGE; j++)
				page[j] = diff_file_byte(info->content, p * DIFF_PAGE + j);
			err = quire_file_write(core->files[i], p * DIFF_PAGE, page, DIFF_PAGE);
		}
	}
	return err;
}

/* The file that stands for what the host maps in line `line` of the layout. */
static int layout_file(struct core *core, uint32_t line, struct quire_file **ret_file)
{
	const struct quire_file_config config = {
		.kind = QUIRE_FILE_MEMORY,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = UINT64_C(1) << 20,
	};
	int err;

	for (uint32_t i = 0; i < line; i++)
		if (core->layout->maps[i].map.object == core->layout->maps[line].map.object) {
			*ret_file = core->layout_files[i];
			return 0;
		}
	err = quire_file_create(core->q, &config, &core->layout_files[line]);
	*ret_file = core->layout_files[line];
	return err;
}

static int build_map(struct core *core, uint32_t line)
{
	const struct diff_map *map = &core->layout->maps[line].map;
	const uint32_t flags = map->shared ? QUIRE_MAP_SHARED : QUIRE_MAP_PRIVATE;
	const uint64_t len_bytes = map->end - map->start;
	struct quire_file *file = NULL;
	uint64_t addr;
	int err;

	switch (core->layout->maps[line].kind) {
	case LAYOUT_FILE:
		err = layout_file(core, line, &file);
		if (err)
			return err;
		return quire_mmap(core->mms[0], map->start, len_bytes, map->prot,
				  flags | QUIRE_MAP_FIXED, file, map->offset, &addr);
	case LAYOUT_ANON:
		return quire_mmap(core->mms[0], map->start, len_bytes, map->prot,
				  flags | QUIRE_MAP_FIXED | QUIRE_MAP_ANONYMOUS, NULL, 0, &addr);
	case LAYOUT_STACK:
		return quire_map_kernel(core->mms[0], map->start, len_bytes, map->prot,
					flags | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_GROWSDOWN, NULL, 0,
					QUIRE_MAPK_STACK, "[stack]");
	default:
		return quire_map_kernel(core->mms[0], map->start, len_bytes, map->prot,
					flags | QUIRE_MAP_ANONYMOUS, NULL, 0, QUIRE_MAPK_SPECIAL,
					core->layout->maps[line].name);
	}
}

/* The native executor runs in its own memory; so its page tables exist. */
static int touch_layout(struct core *core, uint32_t who)
{
	int err = 0;

	for (uint32_t i = 0; i < core->layout->nr_maps && !err; i++)
		if (core->layout->maps[i].kind == LAYOUT_FILE ||
		    core->layout->maps[i].kind == LAYOUT_STACK)
			err = quire_touch(core->mms[who], core->layout->maps[i].map.start,
					  QUIRE_TOUCH_READ, NULL);
	return err;
}

static int build_first_process(struct core *core)
{
	const struct diff_layout *from = core->layout;
	struct quire_layout layout;
	int err;

	quire_layout_default(&layout);
	layout.mmap_base = from->mmap_base;
	layout.mmap_min = from->mmap_min;
	layout.mmap_min_placed = from->mmap_min_placed;
	layout.bottom_up = from->bottom_up;
	layout.brk_start = from->brk_start;
	layout.stack_top = from->stack_top;
	layout.data_segment_bytes = from->data_segment_bytes;
	layout.limits = (struct quire_limits){
		.address_space_bytes = from->limits[DIFF_LIMIT_AS],
		.data_bytes = from->limits[DIFF_LIMIT_DATA],
		.data_max_bytes = from->data_max_bytes,
		.stack_bytes = from->limits[DIFF_LIMIT_STACK],
		.locked_bytes = from->limits[DIFF_LIMIT_MEMLOCK],
	};
	core->limits[0] = layout.limits;
	err = quire_mm_create(core->q, &layout, &core->mms[0]);
	for (uint32_t i = 0; i < from->nr_maps && !err; i++)
		err = build_map(core, i);
	if (!err)
		err = touch_layout(core, 0);
	if (!err)
		quire_mm_stats(core->mms[0], &core->initial);
	return err;
}

/* Gives everything back and reports what cannot be. */
static void tear_down(struct core *core)
{
	struct diff_outcome *outcome = core->outcome;
	struct quire_leaks leaks;

	quire_check(core->q);
	for (uint32_t i = 0; i < DIFF_MAX_PROCS; i++)
		if (core->mms[i])
			quire_mm_put(core->mms[i]);
	for (uint32_t i = 0; i < DIFF_NR_FILES; i++)
		if (core->files[i])
			quire_file_put(core->files[i]);
	for (uint32_t i = 0; i < LAYOUT_MAX_MAPS; i++)
		if (core->layout_files[i])
			quire_file_put(core->layout_files[i]);
	quire_destroy(core->q, &leaks);
	if (leaks.nr_frames || leaks.nr_objects || leaks.nr_address_spaces ||
	    leaks.nr_committed_pages)
		snprintf(outcome->failure, sizeof(outcome->failure),
			 "the core leaked %llu frames, %llu objects, %llu address spaces, "
			 "%llu committed pages",
			 (unsigned long long)leaks.nr_frames, (unsigned long long)leaks.nr_objects,
			 (unsigned long long)leaks.nr_address_spaces,
			 (unsigned long long)leaks.nr_committed_pages);
}

/* ---- operations ------------------------------------------------------------------------ */

static struct quire_file *op_file(struct core *core, const struct diff_op *op)
{
	return op->file >= 0 && op->file < DIFF_NR_FILES ? core->files[op->file] : NULL;
}

static int64_t do_mmap(struct core *core, const struct diff_op *op, uint64_t addr)
{
	uint64_t mapped;
	const int err = quire_mmap(core->mms[op->who], addr, op->len, op->prot, op->flags,
				   op_file(core, op), op->off, &mapped);

	return err ? err : (int64_t)mapped;
}

static int64_t do_mremap(struct core *core, const struct diff_op *op, uint64_t addr)
{
	const uint64_t addr2 =
		diff_resolve(&op->addr2, core->layout->brk_start, core->layout->special_start,
			     core->outcome->results);
	uint64_t moved;
	const int err = quire_mremap(core->mms[op->who], addr, op->len, op->newlen, op->flags,
				     addr2, &moved);

	return err ? err : (int64_t)moved;
}

static int64_t do_brk(struct core *core, const struct diff_op *op, uint64_t addr)
{
	uint64_t brk;
	const int err = quire_brk(core->mms[op->who], addr, &brk);

	return err ? err : (int64_t)brk;
}

static int64_t do_limit(struct core *core, const struct diff_op *op)
{
	const uint64_t in_use[DIFF_NR_LIMITS] = { core->initial.total_pages,
						  core->initial.data_pages };
	const uint32_t which_limit = op->flags & ~DIFF_LIMIT_FROM_0;
	const uint64_t base = op->flags & DIFF_LIMIT_FROM_0 ? 0 : in_use[which_limit];
	const uint64_t bytes = op->len == DIFF_NO_LIMIT ? core->layout->limits[which_limit]
							: (base + op->len) * DIFF_PAGE;
	struct quire_limits *limits = &core->limits[op->who];
	uint64_t *const which[DIFF_NR_LIMITS] = { &limits->address_space_bytes, &limits->data_bytes,
						  &limits->locked_bytes, &limits->stack_bytes };

	*which[which_limit] = bytes;
	quire_mm_set_limits(core->mms[op->who], limits);
	return 0;
}

static int64_t do_rights(struct core *core, const struct diff_op *op)
{
	struct quire_limits *limits = &core->limits[op->who];

	if ((op->flags & DIFF_RIGHT_LOCK_ANY) && !core->layout->may_lock_any)
		return -QUIRE_EPERM;
	limits->may_lock_any = op->flags & DIFF_RIGHT_LOCK_ANY;
	quire_mm_set_limits(core->mms[op->who], limits);
	return 0;
}

static void do_mincore(struct core *core, const struct diff_op *op, uint64_t addr,
		       struct diff_result *result)
{
	const uint64_t nr_pages = (op->len + DIFF_PAGE - 1) / DIFF_PAGE;
	static uint8_t vec[65536];

	/* Longer ones end in an error, which does not depend on the vector. */
	result->ret = quire_mincore(core->mms[op->who], addr, op->len, vec);
	if (result->ret)
		return;
	for (uint64_t i = 0; i < nr_pages && i < DIFF_PAGE; i++)
		result->data = (result->data << 1 | result->data >> 63) ^ (vec[i] & 1);
}

static void take_fault(struct diff_result *result, int err, const struct quire_fault *fault)
{
	result->signal = err == -QUIRE_EFAULT ? fault->signal : err ? QUIRE_OOM : QUIRE_NO_SIGNAL;
	result->fault_addr = err == -QUIRE_EFAULT ? fault->addr : 0;
}

static uint64_t count_faults(struct quire_mm *mm)
{
	struct quire_mm_stats stats;

	quire_mm_stats(mm, &stats);
	return stats.faults + stats.major_faults;
}

static void do_access(struct core *core, const struct diff_op *op, uint64_t addr,
		      struct diff_result *result)
{
	const uint64_t len_bytes = op->kind == DIFF_exec ? 1 : op->len;
	struct quire_fault fault = { QUIRE_NO_SIGNAL, 0 };
	struct quire_mm *mm = core->mms[op->who];
	static uint8_t bytes[DIFF_ACCESS_BYTES];
	const uint64_t before = count_faults(mm);

	if (op->kind == DIFF_write) {
		for (uint64_t i = 0; i < len_bytes; i++)
			bytes[i] = diff_write_byte(op->value, i);
		take_fault(result, quire_write(mm, addr, bytes, len_bytes, &fault), &fault);
	} else {
		take_fault(result, quire_read(mm, addr, bytes, len_bytes, &fault), &fault);
		if (!result->signal)
			result->data = diff_read_sum(bytes, len_bytes);
		if (!result->signal && op->kind == DIFF_exec && bytes[0] == DIFF_CODE)
			take_fault(result, quire_touch(mm, addr, QUIRE_TOUCH_EXEC, &fault), &fault);
	}
	if (!result->signal)
		result->faults = count_faults(mm) - before;
}

/* One page of a fill or a scan. */
static void visit_page(struct core *core, const struct diff_op *op, uint64_t addr, uint64_t page,
		       struct diff_result *access, struct diff_result *result)
{
	struct quire_fault fault = { QUIRE_NO_SIGNAL, 0 };
	const uint64_t word = diff_fill_word(op, page);
	static uint64_t bytes[DIFF_PAGE / 8];

	if (op->kind == DIFF_fill) {
		take_fault(access,
			   quire_write(core->mms[op->who], addr + diff_fill_offset(op), &word,
				       sizeof(word), &fault),
			   &fault);
		return;
	}
	take_fault(access, quire_read(core->mms[op->who], addr, bytes, DIFF_PAGE, &fault), &fault);
	if (!access->signal)
		result->data = diff_scan_digest(result->data, (const uint8_t *)bytes);
}

static void do_pages(struct core *core, const struct diff_op *op, uint64_t start,
		     struct diff_result *result)
{
	const uint64_t before = count_faults(core->mms[op->who]);
	const uint64_t end = start + op->len;
	struct diff_result access = { 0 };

	for (uint64_t addr = start; addr < end;) {
		visit_page(core, op, addr, (addr - start) / DIFF_PAGE, &access, result);
		if (!access.signal) {
			result->ret++;
			addr += DIFF_PAGE;
			continue;
		}
		result->data = diff_hash_signal(result->data, addr, access.signal);
		if (!result->signal) {
			result->signal = access.signal;
			result->fault_addr = access.fault_addr;
		}
		addr = diff_after_signal(addr);
	}
	if (!result->signal)
		result->faults = count_faults(core->mms[op->who]) - before;
}

static void do_file(struct core *core, const struct diff_op *op, struct diff_result *result)
{
	struct quire_file *file = op_file(core, op);
	uint8_t byte = (uint8_t)op->value;

	if (op->kind == DIFF_truncate) {
		result->ret = quire_file_truncate(file, op->len);
	} else if (op->kind == DIFF_punch) {
		result->ret = quire_file_punch(file, op->off, op->len);
	} else if (op->kind == DIFF_pwrite) {
		result->ret = quire_file_write(file, op->off, &byte, 1);
	} else {
		result->ret = quire_file_read(file, op->off, &byte, 1);
		if (!result->ret)
			result->data = byte;
	}
}

/* ---- looking ----------------------------------------------------------------------------- */

struct map_visit {
	struct diff_snapshot *snapshot;
	bool deep;
};

static bool take_map(const struct quire_map_info *info, void *arg)
{
	const struct map_visit *visit = arg;
	const struct diff_map map = {
		.start = info->start,
		.end = info->end,
		.prot = info->prot,
		.shared = info->shared,
		.offset = info->offset,
		.object = info->file_id,
		.flags = visit->deep ? info->flags : 0,
	};

	snapshot_add_map(visit->snapshot, &map);
	return true;
}

/* Counts what is resident outside the layout. */
static void count_resident(struct core *core, struct quire_mm *mm,
			   const struct quire_mm_stats *stats, uint64_t *counts)
{
	struct quire_page_info page;

	counts[DIFF_COUNT_resident] =
		stats->rss_anon_pages + stats->rss_file_pages + stats->rss_shmem_pages;
	counts[DIFF_COUNT_anonymous] = stats->rss_anon_pages;
	for (uint32_t i = 0; i < core->layout->nr_maps; i++) {
		const struct diff_map *map = &core->layout->maps[i].map;

		for (uint64_t at = map->start; at < map->end; at += DIFF_PAGE) {
			if (quire_page_info(mm, at, &page) || !page.present || page.zero_page)
				continue;
			counts[DIFF_COUNT_resident]--;
			counts[DIFF_COUNT_anonymous] -= page.anon;
		}
	}
}

static uint8_t page_state(const struct quire_page_info *page)
{
	uint8_t state = DIFF_PAGE_PRESENT;

	if (page->leaf)
		state |= DIFF_PAGE_HUGE;
	if (page->zero_page)
		return state | DIFF_PAGE_ZERO;
	if (!page->anon)
		state |= DIFF_PAGE_FILE;
	if (page->exclusive || (!page->order && page->mapcount == 1))
		state |= DIFF_PAGE_ALONE;
	else if (page->order)
		state |= DIFF_PAGE_UNSURE;
	return state;
}

static void do_look(struct core *core, uint32_t index, const struct diff_op *op, uint64_t addr)
{
	struct diff_snapshot *snapshot = outcome_snapshot(core->outcome, index);
	struct map_visit visit = { snapshot, op->flags & DIFF_LOOK_DEEP };
	struct quire_mm *mm = core->mms[op->who];
	struct quire_page_info page;
	struct quire_mm_stats stats;

	quire_mm_maps(mm, take_map, &visit);
	snapshot->start = diff_look_start(op, addr);
	snapshot->nr_pages = diff_look_pages(op);
	for (uint32_t i = 0; i < snapshot->nr_pages; i++)
		if (!quire_page_info(mm, snapshot->start + i * DIFF_PAGE, &page) && page.present)
			snapshot->pages[i] = page_state(&page);
	if (!visit.deep)
		return;
	quire_mm_stats(mm, &stats);
	snapshot->deep = true;
	snapshot->counts[DIFF_COUNT_total] = stats.total_pages;
	snapshot->counts[DIFF_COUNT_locked] = stats.locked_pages;
	snapshot->counts[DIFF_COUNT_data] = stats.data_pages;
	snapshot->counts[DIFF_COUNT_stack] = stats.stack_pages;
	snapshot->counts[DIFF_COUNT_table] = stats.page_table_bytes / DIFF_PAGE;
	count_resident(core, mm, &stats, snapshot->counts);
}

static void do_sweep(struct core *core, uint32_t index, const struct diff_op *op, uint64_t addr)
{
	struct diff_snapshot *snapshot = outcome_snapshot(core->outcome, index);
	struct diff_result access = { 0 };
	struct quire_fault fault;
	uint64_t page[DIFF_PAGE / 8];

	for (uint64_t i = 0; i < op->len / DIFF_PAGE && i < DIFF_ARENA_PAGES; i++) {
		fault.signal = QUIRE_NO_SIGNAL;
		take_fault(&access,
			   quire_read(core->mms[op->who], addr + i * DIFF_PAGE, page, DIFF_PAGE, &fault),
			   &fault);
		snapshot->sweep[i] = access.signal ? diff_sweep_signal(access.signal)
						   : diff_hash(0, page, DIFF_PAGE);
		snapshot->nr_sweep++;
	}
}

/* ---- one program ---------------------------------------------------------------------------- */

static void do_process(struct core *core, const struct diff_op *op, struct diff_result *result)
{
	if (op->kind == DIFF_exit) {
		quire_mm_put(core->mms[op->who]);
		core->mms[op->who] = NULL;
		return;
	}
	result->ret = quire_mm_fork(core->mms[op->who], &core->mms[op->value]);
	if (result->ret)
		return;
	core->limits[op->value] = core->limits[op->who];
	result->ret = touch_layout(core, op->value);
}

static int64_t do_call(struct core *core, const struct diff_op *op, uint64_t addr)
{
	struct quire_mm *mm = core->mms[op->who];

	switch (op->kind) {
	case DIFF_mmap:
		return do_mmap(core, op, addr);
	case DIFF_munmap:
		return quire_munmap(mm, addr, op->len);
	case DIFF_mprotect:
		return quire_mprotect(mm, addr, op->len, op->prot);
	case DIFF_pkey_mprotect:
		return quire_pkey_mprotect(mm, addr, op->len, op->prot, (int)op->value);
	case DIFF_mseal:
		return quire_mseal(mm, addr, op->len, op->flags);
	case DIFF_rights:
		return do_rights(core, op);
	case DIFF_mremap:
		return do_mremap(core, op, addr);
	case DIFF_brk:
		return do_brk(core, op, addr);
	case DIFF_madvise:
		return quire_madvise(mm, addr, op->len, (int)op->flags);
	case DIFF_mlock:
		return quire_mlock(mm, addr, op->len, op->flags);
	case DIFF_munlock:
		return quire_munlock(mm, addr, op->len);
	case DIFF_mlockall:
		return quire_mlockall(mm, op->flags);
	case DIFF_munlockall:
		return quire_munlockall(mm);
	case DIFF_msync:
		return quire_msync(mm, addr, op->len, op->flags);
	case DIFF_limit:
		return do_limit(core, op);
	default: /* nop */
		return 0;
	}
}

static void do_op(struct core *core, uint32_t index, const struct diff_op *op)
{
	struct diff_result *result = &core->outcome->results[index];
	const uint64_t addr =
		diff_resolve(&op->addr, core->layout->brk_start, core->layout->special_start,
			     core->outcome->results);

	switch (op->kind) {
	case DIFF_mincore:
		do_mincore(core, op, addr, result);
		break;
	case DIFF_read:
	case DIFF_write:
	case DIFF_exec:
		do_access(core, op, addr, result);
		break;
	case DIFF_truncate:
	case DIFF_pread:
	case DIFF_pwrite:
	case DIFF_punch:
		do_file(core, op, result);
		break;
	case DIFF_fork:
	case DIFF_exit:
		do_process(core, op, result);
		break;
	case DIFF_look:
		do_look(core, index, op, addr);
		break;
	case DIFF_sweep:
		do_sweep(core, index, op, addr);
		break;
	case DIFF_fill:
	case DIFF_scan:
		do_pages(core, op, addr & ~(DIFF_PAGE - 1), result);
		break;
	default:
		result->ret = do_call(core, op, addr);
	}
}

/* A number that belongs to the seed: eight programs in a row have the same. */
static uint64_t draw(uint64_t seed, unsigned nr)
{
	uint64_t x = ((seed >> 3) + nr) * UINT64_C(0x9e3779b97f4a7c15) +
		     nr * UINT64_C(0xda942042e4dd58b5);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 27;
}

enum { DRAW_FOLIOS = 100, DRAW_ORDERS, DRAW_FILE_ORDER };

/* Each program runs with some of the sound alternatives of the decisions: no
 * program may see which. */
static void draw_decisions(uint64_t seed, struct quire_decisions *decisions)
{
	const struct quire_decision_info *row;

	quire_decisions_default(decisions);
	for (unsigned i = 0; seed && i < QUIRE_NR_DECISIONS; i++) {
		unsigned alternative;

		row = quire_decision_info(i);
		alternative = (unsigned)row->first +
			      (unsigned)(draw(seed, i) % (row->last - row->first + 1u));
		if (quire_alternative_info(alternative)->sound)
			decisions->chosen[i] = (uint8_t)alternative;
	}
}

bool core_reuses_folios(const struct diff_program *program)
{
	struct quire_decisions decisions;

	draw_decisions(program->seed, &decisions);
	return decisions.chosen[QUIRE_DECISION_reuse_scope] == QUIRE_reuse_scope_folio;
}

/* As the host is set up. */
static void mirror_huge(const struct diff_huge *huge, struct quire_config *config)
{
	for (unsigned order = 2; order <= QUIRE_PMD_ORDER; order++)
		config->anon_folios[order] = huge->orders >> order & 1 ? QUIRE_FOLIOS_MADVISE
								       : QUIRE_FOLIOS_NEVER;
	config->huge_zero_page = config->zero_page && huge->zero_page;
	config->max_ptes_none = huge->max_ptes_none;
	config->max_ptes_shared = huge->max_ptes_shared;
	config->max_ptes_swap = huge->max_ptes_swap;
}

bool core_has_more_folios(const struct diff_program *program)
{
	return program->seed && draw(program->seed, DRAW_FOLIOS) % 4 == 0;
}

/* Folios of some orders for all anonymous memory, and up to some order in files. */
static void add_folios(uint64_t seed, struct quire_config *config)
{
	const uint64_t orders = draw(seed, DRAW_ORDERS);
	const uint64_t file_order = draw(seed, DRAW_FILE_ORDER) % (QUIRE_PMD_ORDER + 1);

	/* The PMD order stays as it is: where it is had decides what merges. */
	for (unsigned order = 2; order < QUIRE_PMD_ORDER; order++)
		if (orders >> order & 1)
			config->anon_folios[order] = QUIRE_FOLIOS_ALWAYS;
	config->file_order = file_order == 1 ? 0 : (unsigned)file_order;
}

static bool asks_for_huge(const struct diff_program *program)
{
	for (uint32_t i = 0; i < program->nr_ops; i++)
		if (program->ops[i].kind == DIFF_madvise &&
		    (program->ops[i].flags == QUIRE_MADV_HUGEPAGE ||
		     program->ops[i].flags == QUIRE_MADV_COLLAPSE))
			return true;
	return false;
}

void core_run(const struct diff_layout *layout, const struct diff_program *program,
	      struct diff_outcome *outcome)
{
	static struct core core; /* static: it must survive the longjmp */
	struct quire_config config;
	int err;

	memset(&core, 0, sizeof(core));
	core.layout = layout;
	core.outcome = outcome;
	outcome_reset(outcome);
	quire_config_default(&config);
	config.memory_bytes = MEMORY_BYTES;
	if (asks_for_huge(program) || core_has_more_folios(program))
		config.memory_bytes = HUGE_MEMORY_BYTES;
	config.zero_page = layout->zero_page;
	config.pkeys = layout->pkeys;
	mirror_huge(&layout->huge, &config);
	if (core_has_more_folios(program))
		add_folios(program->seed, &config);
	draw_decisions(program->seed, &config.decisions);
	if (setjmp(stopped)) {
		snprintf(outcome->failure, sizeof(outcome->failure), "%s", stop_text);
		return;
	}
	err = quire_create(&config, &core.q);
	if (!err)
		err = create_files(&core);
	if (!err)
		err = build_first_process(&core);
	if (err) {
		snprintf(outcome->failure, sizeof(outcome->failure),
			 "the core cannot build the first process: error %d", err);
		return;
	}
	for (uint32_t i = 0; i < program->nr_ops; i++) {
		if (core.mms[program->ops[i].who])
			do_op(&core, i, &program->ops[i]);
		else
			outcome->results[i].skipped = 1;
	}
	tear_down(&core);
}
